// SPDX-License-Identifier: LGPL-2.1-or-later
// What Sofia must never get to see.
#include "sip/core/fence.h"

#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_buffer.h>
#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/sip_protos.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/url.h>
#include <strings.h>
#include <sys/socket.h>

#include <cstdint>
#include <new>
#include <string_view>
#include <utility>

#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

bool is_safe(const url_t &url) {
  if (url.url_type != url_sip && url.url_type != url_sips) return false;
  std::string_view host = url.url_host ? url.url_host : "";
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  return is_host(host);
}

/// The parser hands each header the message itself as its memory home.
msg_t *message_of(su_home_t *home) { return reinterpret_cast<msg_t *>(home); }

/// Whether the message being parsed is a REGISTER; the first line is parsed before the headers. By
/// its name, for the code is held back until the headers are complete.
bool is_register(su_home_t *home) {
  const sip_t *sip = sip_object(message_of(home));
  return sip && sip->sip_request &&
         std::string_view(sip->sip_request->rq_method_name) == "REGISTER";
}

issize_t parse_contact(su_home_t *home, msg_header_t *header, char *text, isize_t size) {
  const issize_t parsed = sip_contact_d(home, header, text, size);
  if (parsed < 0) return parsed;
  for (const auto *contact = reinterpret_cast<const sip_contact_t *>(header); contact;
       contact = contact->m_next) {
    if (contact->m_url->url_type == url_any && is_register(home)) continue;
    if (!is_safe(*contact->m_url)) return -1;
  }
  return parsed;
}

issize_t parse_record_route(su_home_t *home, msg_header_t *header, char *text, isize_t size) {
  const issize_t parsed = sip_record_route_d(home, header, text, size);
  if (parsed < 0) return parsed;
  for (const auto *route = reinterpret_cast<const sip_record_route_t *>(header); route;
       route = route->r_next)
    if (!is_safe(*route->r_url)) return -1;
  return parsed;
}

msg_hclass_s with_parser(const msg_hclass_s &original, msg_parse_f *parse) {
  msg_hclass_s changed = original;
  changed.hc_parse = parse;
  return changed;
}

/// Puts `ours` in front of `original` in the table, which keeps both: names are looked up by the
/// first match when parsing, headers that Sofia itself makes by the identity of their class.
void put_in_front(msg_mclass_t &table, msg_hclass_t &original, msg_hclass_t &ours) {
  const int size = table.mc_hash_size;
  int place = 0;
  while (place < size && table.mc_hash[place].hr_class != &original) ++place;
  int free_place = place;
  do free_place = (free_place + 1) % size;
  while (table.mc_hash[free_place].hr_class && free_place != place);
  if (place == size || free_place == place) throw std::bad_alloc();  // not Sofia's table

  msg_href_t reference = table.mc_hash[place];
  table.mc_hash[free_place] = reference;
  ++table.mc_hash_used;
  reference.hr_class = &ours;
  // An error in a request refuses it; in a response the header is left out.
  reference.hr_flags = sip_mask_request;
  table.mc_hash[place] = reference;
  if (!table.mc_short || original.hc_short[0] == '\0') return;
  // The clone has a table of short names of its own, though its type says const.
  const_cast<msg_href_t *>(table.mc_short)[original.hc_short[0] - 'a'] = reference;
}

/// From here on Sofia brings each line to extract_body(), as if it were of the body.
void take_lines(msg_t *message) { sip_object(message)->sip_flags |= MSG_FLG_BODY; }

bool came_over_stream(msg_t *message) { return msg_addrinfo(message)->ai_socktype == SOCK_STREAM; }

Endpoint source_of(msg_t *message) {
  const su_sockaddr_t *from = msg_addr(message);
  return from ? Endpoint::from_sockaddr(&from->su_sa) : Endpoint{};
}

/// What the first malformed header is called; empty if none is.
std::string bad_header(const sip_t &sip) {
  for (const msg_error_t *error = sip.sip_error; error; error = error->er_next) {
    const auto *header = reinterpret_cast<const msg_header_t *>(error);
    const bool unnamed = header->sh_class == sip_error_class;
    const char *name = unnamed ? error->er_name : header->sh_class->hc_name;
    if (name) return name;
  }
  return {};
}

std::string problem_of(const msg_t *message, const sip_t &sip) {
  if (msg_extract_errors(message) & Fence::fatal_headers()) {
    const std::string name = bad_header(sip);
    return name.empty() ? "one of its lines is no header"
                        : "its " + name + " is malformed or not allowed here";
  }
  if (sip.sip_flags & MSG_FLG_ERROR) return "it is malformed";
  if (sip_sanity_check(&sip) < 0)
    return "a header that it must have is missing, or contradicts its first line";
  return {};
}

}  // namespace

unsigned Fence::fatal_headers() {
  return ~static_cast<unsigned>(sip_mask_response | sip_mask_proxy | sip_mask_registrar |
                                sip_mask_pref | sip_mask_privacy);
}

Fence &Fence::of(const msg_t *message) {
  const msg_hclass_s *own = msg_mclass(message)->mc_separator[0].hr_class;
  return *reinterpret_cast<const OwnClass *>(own)->fence;
}

Fence::Fence(Ask ask, Dropped dropped) : ask_(std::move(ask)), dropped_(std::move(dropped)) {
  static const msg_hclass_s contact = with_parser(*sip_contact_class, parse_contact);
  static const msg_hclass_s record_route = with_parser(*sip_record_route_class, parse_record_route);
  static const msg_hclass_s request = with_parser(*sip_request_class, parse_request);
  static const msg_hclass_s status = with_parser(*sip_status_class, parse_status);
  parser_.reset(msg_mclass_clone(sip_default_mclass(), 0, 0));
  if (!parser_) throw std::bad_alloc();
  put_in_front(*parser_, *sip_contact_class, contact);
  put_in_front(*parser_, *sip_record_route_class, record_route);
  separator_ = {*sip_separator_class, this};
  parser_->mc_separator[0].hr_class = &separator_.hclass;
  parser_->mc_request[0].hr_class = &request;
  parser_->mc_status[0].hr_class = &status;
  parser_->mc_extract_body = extract_body;
}

void Fence::close() {
  ask_ = [](const FencedRequest &) { return false; };
  dropped_ = [](const Endpoint &, bool, const std::string &) {};
}

issize_t Fence::parse_request(su_home_t *home, msg_header_t *header, char *text, isize_t size) {
  const issize_t parsed = sip_request_class->hc_parse(home, header, text, size);
  if (parsed < 0) return parsed;
  // Until the empty line shows that the headers are complete: the transaction layer answers 400 to
  // a request whose method contradicts its CSeq.
  reinterpret_cast<sip_request_t *>(header)->rq_method = sip_method_invalid;
  take_lines(message_of(home));
  return parsed;
}

issize_t Fence::parse_status(su_home_t *home, msg_header_t *header, char *text, isize_t size) {
  const issize_t parsed = sip_status_class->hc_parse(home, header, text, size);
  if (parsed < 0) return parsed;
  int &status = reinterpret_cast<sip_status_t *>(header)->st_status;
  if (status == 302 || status == 305) status += kFencedRedirect;
  take_lines(message_of(home));
  return parsed;
}

/// How many lines a message has so far is kept where Sofia leaves room for applications.
issize_t Fence::extract_line(msg_t *message, sip_t &sip, char *bytes, isize_t size, int eos) const {
  auto lines = reinterpret_cast<std::uintptr_t>(sip.sip_user);
  if (lines >= kMaxLines) {
    dropped_(source_of(message), came_over_stream(message),
             "more than " + std::to_string(kMaxLines) + " header lines");
    // Neither request nor response: nobody is answered.
    sip.sip_request = nullptr;
    sip.sip_status = nullptr;
    return -1;
  }
  const issize_t extracted = msg_extract_header(message, msg_object(message), bytes, size, eos);
  if (extracted > 0) sip.sip_user = reinterpret_cast<void *>(lines + 1);
  return extracted;
}

issize_t Fence::extract_body(msg_t *message, msg_pub_t *object, char *bytes, isize_t size,
                             int eos) {
  auto *sip = reinterpret_cast<sip_t *>(object);
  const bool headers = !sip->sip_separator;
  if (headers && *bytes != '\r' && *bytes != '\n')
    return of(message).extract_line(message, *sip, bytes, size, eos);
  if (headers) sip->sip_flags &= ~MSG_FLG_BODY;
  const issize_t extracted =
      sip_default_mclass()->mc_extract_body(message, object, bytes, size, eos);
  if (headers && sip->sip_separator) {
    sip->sip_user = nullptr;
    if (sip->sip_request) of(message).on_headers(message, *sip);
  }
  return extracted;
}

void Fence::on_headers(msg_t *message, sip_t &sip) const {
  sip.sip_request->rq_method = sip_method_code(sip.sip_request->rq_method_name);
  // Neither request nor response: Sofia drops it without a word.
  if (!ask_({.sip = sip,
             .source = source_of(message),
             .stream = came_over_stream(message),
             .problem = problem_of(message, sip)}))
    sip.sip_request = nullptr;
}

}  // namespace junctor::sip
