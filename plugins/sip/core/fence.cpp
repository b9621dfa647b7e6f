// SPDX-License-Identifier: LGPL-2.1-or-later
// What Sofia must never get to see.
#include "sip/core/fence.h"

#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/sip_protos.h>
#include <sofia-sip/su_log.h>
#include <sofia-sip/url.h>

#include <new>
#include <string>
#include <string_view>

#include "common/endpoint.h"
#include "sip/core/uri.h"

extern "C" {
extern su_log_t nta_log[];
}

namespace junctor::sip {

namespace {

bool is_safe(const url_t &url) {
  if (url.url_type != url_sip && url.url_type != url_sips) return false;
  std::string_view host = url.url_host ? url.url_host : "";
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  return is_host(host);
}

/// Whether the message being parsed is a REGISTER. The parser hands each header the message itself
/// as its memory home, and the first line is parsed by then.
bool is_register(su_home_t *home) {
  const sip_t *sip = sip_object(reinterpret_cast<msg_t *>(home));
  return sip && sip->sip_request && sip->sip_request->rq_method == sip_method_register;
}

/// Says who sent it. The parser knows nobody to tell but Sofia's log, which is led to ours.
issize_t fenced_off(su_home_t *home, const char *header) {
  const su_sockaddr_t *from = msg_addr(reinterpret_cast<msg_t *>(home));
  const std::string peer = from ? Endpoint::from_sockaddr(&from->su_sa).to_string() : "somebody";
  su_llog(nta_log, 1, "sip %s: refused at parsing: its %s has an address that is not sip or sips\n",
          peer.c_str(), header);
  return -1;
}

issize_t parse_contact(su_home_t *home, msg_header_t *header, char *text, isize_t size) {
  const issize_t parsed = sip_contact_d(home, header, text, size);
  if (parsed < 0) return parsed;
  for (const auto *contact = reinterpret_cast<const sip_contact_t *>(header); contact;
       contact = contact->m_next) {
    if (contact->m_url->url_type == url_any && is_register(home)) continue;
    if (!is_safe(*contact->m_url)) return fenced_off(home, "Contact");
  }
  return parsed;
}

issize_t parse_record_route(su_home_t *home, msg_header_t *header, char *text, isize_t size) {
  const issize_t parsed = sip_record_route_d(home, header, text, size);
  if (parsed < 0) return parsed;
  for (const auto *route = reinterpret_cast<const sip_record_route_t *>(header); route;
       route = route->r_next)
    if (!is_safe(*route->r_url)) return fenced_off(home, "Record-Route");
  return parsed;
}

issize_t parse_status(su_home_t *home, msg_header_t *header, char *text, isize_t size) {
  const issize_t parsed = sip_status_class->hc_parse(home, header, text, size);
  if (parsed < 0) return parsed;
  int &status = reinterpret_cast<sip_status_t *>(header)->st_status;
  if (status == 302 || status == 305) status += kFencedRedirect;
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

}  // namespace

MessageClassRef make_fenced_parser() {
  static const msg_hclass_s contact = with_parser(*sip_contact_class, parse_contact);
  static const msg_hclass_s record_route = with_parser(*sip_record_route_class, parse_record_route);
  static const msg_hclass_s status = with_parser(*sip_status_class, parse_status);
  MessageClassRef parser(msg_mclass_clone(sip_default_mclass(), 0, 0));
  if (!parser) throw std::bad_alloc();
  put_in_front(*parser, *sip_contact_class, contact);
  put_in_front(*parser, *sip_record_route_class, record_route);
  parser->mc_status[0].hr_class = &status;
  return parser;
}

}  // namespace junctor::sip
