// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/loop.h"

#include <glib.h>

#include "common/handle.h"

namespace junctor::calls {

namespace {

using OwnedText = std::unique_ptr<char, Releaser<g_free>>;

constexpr std::size_t kLongestName = 28;

const char *caption(Card card) {
  switch (card) {
    case Card::Calling:
      return "calling …";
    case Card::Ringing:
      return "ringing …";
    case Card::Connected:
      return "connected";
    case Card::AudioOnly:
      return "audio call: the other side sends no video";
    case Card::OnHold:
      return "on hold";
    case Card::Incoming:
      return "is calling …";
    case Card::Busy:
      return "is busy";
    case Card::Declined:
      return "has declined the call";
    case Card::NoAnswer:
      return "does not answer";
    case Card::Unreachable:
      return "cannot be reached";
    case Card::Failed:
      return "the call could not be made";
    case Card::Missed:
      return "has called";
  }
  return "";
}

const char *colour(Card card) {
  switch (card) {
    case Card::Calling:
    case Card::OnHold:
    case Card::Missed:
      return "#5b7083";
    case Card::Ringing:
    case Card::Incoming:
      return "#2f80c0";
    case Card::Connected:
    case Card::AudioOnly:
      return "#2e9d6a";
    case Card::Busy:
    case Card::Declined:
    case Card::NoAnswer:
    case Card::Unreachable:
    case Card::Failed:
      return "#b0553f";
  }
  return "#5b7083";
}

}  // namespace

std::string escaped_for_xml(const std::string &text, std::size_t longest) {
  const OwnedText valid(g_utf8_make_valid(text.data(), static_cast<gssize>(text.size())));
  std::string out;
  std::size_t count = 0;
  for (const char *at = valid.get(); *at != '\0'; at = g_utf8_next_char(at)) {
    const gunichar c = g_utf8_get_char(at);
    if (!g_unichar_isprint(c)) continue;
    if (++count > longest) {
      out += "…";
      break;
    }
    const OwnedText escaped(g_markup_escape_text(at, g_utf8_next_char(at) - at));
    out += escaped.get();
  }
  return out;
}

std::string drawing(Card card, const std::string &name) {
  const std::string shown = escaped_for_xml(name, kLongestName);
  const std::string initial = escaped_for_xml(name, 1);
  const std::string letter = initial.substr(0, initial.find("…"));
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"360\">"
         "<rect width=\"640\" height=\"360\" fill=\"#1b2733\"/>"
         "<circle cx=\"320\" cy=\"125\" r=\"64\" fill=\"" +
         std::string(colour(card)) +
         "\"/><g font-family=\"sans-serif\" text-anchor=\"middle\" fill=\"#ffffff\">"
         "<text x=\"320\" y=\"147\" font-size=\"62\">" +
         letter + "</text><text x=\"320\" y=\"248\" font-size=\"34\">" + shown +
         "</text><text x=\"320\" y=\"296\" font-size=\"20\" fill=\"#9fb3c8\">" + caption(card) +
         "</text></g></svg>";
}

}  // namespace junctor::calls
