// SPDX-License-Identifier: LGPL-2.1-or-later
// A book of accounts, as tests open it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "../temporary_directory.h"
#include "accounts/book.h"

namespace junctor::accounts {

inline constexpr std::int64_t kNow = 1700000000;

inline std::shared_ptr<Book> open_book(const TemporaryDirectory &dir,
                                       const std::string &realm = "") {
  auto book = Book::open(dir.path(), realm);
  EXPECT_TRUE(book) << (book ? "" : book.error().detail);
  return book ? *book : nullptr;
}

inline std::string issue(Book &book, const std::string &name, Rights rights = {true, true},
                         std::int64_t life = 3600, std::int64_t now = kNow) {
  auto token = book.issue(name, rights, life, now);
  EXPECT_TRUE(token) << (token ? "" : token.error().detail);
  return token ? token->text : "";
}

}  // namespace junctor::accounts
