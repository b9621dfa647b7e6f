// SPDX-License-Identifier: LGPL-2.1-or-later
// A database of calls that cannot be asked.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <string>

namespace junctor::store {

/// Takes the table of calls away from a store that has its database in `directory`.
inline void hide_calls(const std::string &directory) {
  sqlite3 *database = nullptr;
  ASSERT_EQ(sqlite3_open((directory + "/calls.db").c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, "ALTER TABLE calls RENAME TO hidden", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
}

}  // namespace junctor::store
