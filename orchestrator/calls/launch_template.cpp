// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/launch_template.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>

namespace junctor::calls {

namespace {

constexpr std::size_t kLongestIdentifier = 64;
constexpr std::size_t kLongestTemplate = 64UL * 1024;

bool is_identifier(std::string_view text) {
  return !text.empty() && text.size() <= kLongestIdentifier &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

/// Replaces the holes of `text`, those of their values too while `depth` allows.
Result<std::string> replace(const std::string &name, std::string_view text, const Holes &holes,
                            int depth) {
  std::string out;
  while (true) {
    const auto start = text.find("${");
    out += text.substr(0, start);
    if (start == std::string_view::npos) return out;
    const auto end = text.find('}', start);
    if (end == std::string_view::npos)
      return internal_error(name + ": a ${ is not closed; write ${NAME}");
    const std::string_view hole = text.substr(start + 2, end - start - 2);
    const auto value = holes.find(hole);
    if (value == holes.end())
      return internal_error(name + ": nothing fills the hole ${" + std::string(hole) +
                            "}; remove it or correct its name");
    if (depth > 0) {
      auto inner = replace(name, value->second.text(), holes, depth - 1);
      if (!inner) return inner.error();
      out += *inner;
    } else {
      out += value->second.text();
    }
    text.remove_prefix(end + 1);
  }
}

std::string with_single_spaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = std::isspace(static_cast<unsigned char>(c));
    if (!space)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace

Result<Fragment> Fragment::identifier(std::string_view text) {
  if (!is_identifier(text))
    return bad_input("'" + std::string(text.substr(0, kLongestIdentifier)) +
                     "' cannot stand in a launch line; only letters, digits and _ can");
  return Fragment(std::string(text));
}

Fragment Fragment::joined(const Fragment &next, std::string_view between) const {
  if (text_.empty()) return next;
  if (next.text_.empty()) return *this;
  return Fragment(text_ + std::string(between) + next.text_);
}

Result<LaunchTemplate> LaunchTemplate::parse(std::string name, std::string_view text) {
  LaunchTemplate made;
  made.name_ = std::move(name);
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find_first_not_of(" \t");
    if (first == std::string::npos || line[first] == '#') continue;
    made.text_ += line + '\n';
  }
  for (auto at = made.text_.find("${"); at != std::string::npos;
       at = made.text_.find("${", at + 2)) {
    const auto end = made.text_.find('}', at);
    if (end == std::string::npos ||
        !is_identifier(std::string_view(made.text_).substr(at + 2, end - at - 2)))
      return bad_input(made.name_ + ": '" + made.text_.substr(at, 20) +
                       "…' is not a hole; write ${NAME} with letters, digits and _");
  }
  return made;
}

Result<LaunchTemplate> LaunchTemplate::load(const std::string &directory, const std::string &name) {
  const std::string path = directory + "/" + name + ".launch";
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return Error{Fault::Internal, "cannot read the launch template " + path +
                                      "; set the directory of the *.launch files"};
  std::string text(kLongestTemplate + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kLongestTemplate) return bad_input(path + " is longer than 64 KiB");
  return parse(path, text);
}

Result<Fragment> LaunchTemplate::fill(const Holes &holes) const {
  auto text = replace(name_, text_, holes, 1);
  if (!text) return text.error();
  return Fragment(with_single_spaces(*text));
}

}  // namespace junctor::calls
