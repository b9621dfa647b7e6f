// SPDX-License-Identifier: LGPL-2.1-or-later
// Results and errors as values.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace junctor {

/// What kind of thing went wrong; decides how the edge reports it.
enum class Fault {
  BadInput,
  Refused,
  NotAcceptable,  ///< what one side insists on the other has not: encryption, a codec
  Overloaded,     ///< as much runs as can, or as is allowed; later, or elsewhere, it may go
  Timeout,
  Unreachable,
  PeerClosed,
  Internal
};

/// One failure: its kind, and a sentence that says what, where and what to do.
struct Error {
  Fault fault = Fault::Internal;
  std::string detail;
};

/// A value of T or the Error that stands in its place. Holding neither is not possible.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  explicit operator bool() const { return content_.index() == 0; }
  T &operator*() & { return std::get<0>(content_); }
  const T &operator*() const & { return std::get<0>(content_); }
  T &&operator*() && { return std::get<0>(std::move(content_)); }
  T *operator->() { return &std::get<0>(content_); }
  const T *operator->() const { return &std::get<0>(content_); }
  const Error &error() const { return std::get<1>(content_); }

 private:
  std::variant<T, Error> content_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}  // NOLINT: implicit

  explicit operator bool() const { return !failed_; }
  const Error &error() const { return error_; }

 private:
  Error error_;
  bool failed_ = false;
};

inline Error bad_input(std::string detail) { return {Fault::BadInput, std::move(detail)}; }
inline Error refused(std::string detail) { return {Fault::Refused, std::move(detail)}; }
inline Error overloaded(std::string detail) { return {Fault::Overloaded, std::move(detail)}; }
inline Error internal_error(std::string detail) { return {Fault::Internal, std::move(detail)}; }

}  // namespace junctor
