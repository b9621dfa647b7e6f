// SPDX-License-Identifier: LGPL-2.1-or-later
// Launch lines with holes, from files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/result.h"

namespace junctor::calls {

/// Text that may become part of a launch line: from our own tables, a number, an identifier that
/// has been checked, or a filled template. What a peer sent never becomes one; it is set on named
/// elements instead.
class Fragment {
 public:
  Fragment() = default;
  /// Of a table or a literal of this program.
  static Fragment ours(std::string_view text) { return Fragment(std::string(text)); }
  static Fragment number(std::int64_t value) { return Fragment(std::to_string(value)); }
  /// Letters, digits and `_`, at most 64; an error for anything else.
  static Result<Fragment> identifier(std::string_view text);

  const std::string &text() const { return text_; }
  bool empty() const { return text_.empty(); }
  /// Both, with `between` in the middle unless one is empty.
  Fragment joined(const Fragment &next, std::string_view between = " ") const;
  bool operator==(const Fragment &) const = default;

 private:
  friend class LaunchTemplate;
  explicit Fragment(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

using Holes = std::map<std::string, Fragment, std::less<>>;

/// One `*.launch` file: `${name}` is a hole, a line that starts with `#` is a comment, line ends
/// count as spaces.
class LaunchTemplate {
 public:
  /// `name` is for messages. Fails for a `${` that is not closed or names nothing.
  static Result<LaunchTemplate> parse(std::string name, std::string_view text);
  /// Reads DIRECTORY/NAME.launch. Fails with the path if it cannot.
  static Result<LaunchTemplate> load(const std::string &directory, const std::string &name);

  /// Every hole replaced, spaces made single. Fails for a hole without a value, by its name;
  /// values that no hole asks for are ignored. A value may itself hold holes, one level deep.
  Result<Fragment> fill(const Holes &holes) const;
  const std::string &name() const { return name_; }

 private:
  std::string name_;
  std::string text_;
};

}  // namespace junctor::calls
