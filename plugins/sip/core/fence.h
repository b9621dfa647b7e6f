// SPDX-License-Identifier: LGPL-2.1-or-later
// What Sofia must never get to see.
#pragma once

#include <sofia-sip/msg_mclass.h>
#include <sofia-sip/sip.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "common/endpoint.h"
#include "common/handle.h"

namespace junctor::sip {

/// A request whose headers have been read, before anything is done about it.
struct FencedRequest {
  const sip_t &sip;
  Endpoint source;
  bool stream = false;  ///< it came over a connection, whatever it says of itself
  /// Why the transaction layer is going to answer 400; empty if it is not.
  std::string problem;
};

/// The SIP parser for nua (NUTAG_SIP_PARSER), and with it the one place that every message from the
/// network passes before Sofia keeps anything of it. Sofia's thread only.
///
/// It takes Contact and Record-Route only with sip: or sips: URIs and well-formed hosts. A dialog
/// whose target or route has another scheme ("tel:", "*", "http:") makes Sofia 1.12.11 recurse
/// until its stack ends as soon as it has to send a BYE of its own, for example when its 200 is
/// never acknowledged: anybody could end the process with one INVITE. Refusing such a request later
/// is not enough, for nua takes the target of a re-INVITE over before it asks. With this parser a
/// request with such a header is answered 400 by the transaction layer, and a response is treated
/// as if it had none. "Contact: *" passes in REGISTER, where it has a meaning.
///
/// It drops what has more than kMaxLines header lines, and stops reading there, be they in one
/// datagram or in pieces of a connection, encrypted or not: Sofia walks a list for each line, so
/// that 8,000 of them, which fit into one message, would cost a second.
///
/// It answers 400 to a datagram that ends before its empty line, so that every request that gets
/// further has been asked about.
///
/// It also keeps nua from following redirections: nua would send the request, with our credentials,
/// wherever a 302 or 305 points before anybody could forbid it. Their codes reach nua as 352 and
/// 355, which it takes for final answers; unfenced() gives them back.
class Fence {
 public:
  static constexpr std::size_t kMaxLines = 256;

  /// Whether the request may go on. If not, it is as if it had never come: nothing is answered and
  /// nothing kept.
  using Ask = std::function<bool(const FencedRequest &request)>;
  /// What was dropped without being asked about, and why; `stream`: it came over a connection,
  /// from which Sofia reads no more.
  using Dropped = std::function<void(const Endpoint &source, bool stream, const std::string &why)>;

  Fence(Ask ask, Dropped dropped);
  Fence(const Fence &) = delete;
  Fence &operator=(const Fence &) = delete;

  /// Drops all that comes from now on, without asking: for a nua that is left behind.
  void close();
  /// Lives as long as this, which must outlive the nua that uses it and every message of that nua.
  const msg_mclass_t *parser() const { return parser_.get(); }

  /// Which malformed headers make the transaction layer refuse a request (NTATAG_BAD_REQ_MASK): all
  /// but those that only proxies, registrars and clients look at. Sofia's own default.
  static unsigned fatal_headers();

 private:
  /// A class of ours in the parser's table, by which its functions find their way back.
  struct OwnClass {
    msg_hclass_s hclass;  // first: the table points at it
    Fence *fence;
  };
  static Fence &of(const msg_t *message);
  static issize_t parse_request(su_home_t *, msg_header_t *, char *, isize_t);
  static issize_t parse_status(su_home_t *, msg_header_t *, char *, isize_t);
  static issize_t extract_body(msg_t *, msg_pub_t *, char *, isize_t, int);
  issize_t extract_line(msg_t *message, sip_t &sip, char *bytes, isize_t size, int eos) const;
  void on_headers(msg_t *message, sip_t &sip) const;

  Ask ask_;
  Dropped dropped_;
  OwnClass separator_{};
  std::unique_ptr<msg_mclass_t, Releaser<std::free>> parser_;
};

inline constexpr int kFencedRedirect = 50;
/// The status that the peer sent, from the one that nua reports.
constexpr int unfenced(int status) {
  return status == 302 + kFencedRedirect || status == 305 + kFencedRedirect
             ? status - kFencedRedirect
             : status;
}

}  // namespace junctor::sip
