// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/rendezvous_message.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

namespace junctor::nat::rendezvous {

namespace {

using nlohmann::json;

constexpr double kMostNumber = 1e12;
constexpr std::string_view kV4 = "ipv4", kV6 = "ipv6";  // families

// What each message is made of: one description for reading and for writing. `f` is a Reader or a
// Writer; name() is what identifies something and must be there, text() may be missing.
// clang-format off
template <class F> void fields(F &f, RegionTime &m) { f.name("name", m.name); f.number("round_trip_ms", m.round_trip_ms); }
template <class F> void fields(F &f, Region &m) { f.name("name", m.name); f.name("stun", m.stun, kMostText); }
template <class F> void fields(F &f, NodeOffer &m) { f.name("name", m.name); f.text("region", m.region); f.count("legs", m.legs); f.number("price", m.price); }
template <class F> void fields(F &f, Leg &m) { f.name("leg", m.leg); f.object("description", m.description, true); f.object("media", m.media); }

template <class F> void fields(F &f, Hello &m) { f.version("version", m.version); f.role("role", m.role); f.text("agent", m.agent); f.text("resume", m.resume); f.count("got", m.got);
                                                 f.object("nat", m.nat); f.list("regions", m.regions); f.optional("node", m.node); f.families("families", m.families); }
template <class F> void fields(F &f, Welcome &m) { f.name("account", m.account); f.name("connection", m.connection); f.text("resume", m.resume); f.flag("resumed", m.resumed); f.count("got", m.got);
                                                   f.texts("stun", m.stun); f.list("regions", m.regions); }
template <class F> void fields(F &f, Moved &m) { f.object("nat", m.nat); f.list("regions", m.regions); f.families("families", m.families); }
template <class F> void fields(F &f, Wrong &m) { f.text("session", m.session); f.text("detail", m.detail); }
template <class F> void fields(F &f, Open &m) { f.name("ref", m.ref); f.name("to", m.to); }
template <class F> void fields(F &f, Session &m) { f.name("ref", m.ref); f.name("session", m.session); }
template <class F> void fields(F &f, Refused &m) { f.name("ref", m.ref); f.name("reason", m.reason); f.text("detail", m.detail); }
template <class F> void fields(F &f, Invite &m) { f.name("session", m.session); f.text("from", m.from); f.object("offer", m.offer, true); f.object("media", m.media); }
template <class F> void fields(F &f, Trying &m) { f.name("session", m.session); f.count("ringing", m.ringing); }
template <class F> void fields(F &f, Accept &m) { f.name("session", m.session); f.object("answer", m.answer, true); f.object("media", m.media); }
template <class F> void fields(F &f, Decline &m) { f.name("session", m.session); f.text("reason", m.reason); }
template <class F> void fields(F &f, Signal &m) { f.name("session", m.session); f.text("node", m.node); f.text("leg", m.leg); f.object("data", m.data, true); }
template <class F> void fields(F &f, Rung &m) { f.name("session", m.session); f.name("rung", m.rung); f.text("node", m.node); f.name("state", m.state);
                                                f.text("why", m.why); f.number("ms", m.ms); }
template <class F> void fields(F &f, Bye &m) { f.name("session", m.session); f.text("reason", m.reason); f.text("detail", m.detail); }
template <class F> void fields(F &f, Need &m) { f.name("session", m.session); f.name("rung", m.rung); }
template <class F> void fields(F &f, Node &m) { f.name("session", m.session); f.name("node", m.node); f.count("order", m.order); f.object("description", m.description, true);
                                                f.number("round_trip_ms", m.round_trip_ms); f.text("why", m.why); }
template <class F> void fields(F &f, NodeUp &m) { f.name("session", m.session); f.name("node", m.node); }
template <class F> void fields(F &f, NodeFailed &m) { f.name("session", m.session); f.name("node", m.node); f.text("why", m.why); f.flag("leaving", m.leaving); }
template <class F> void fields(F &f, NoNode &m) { f.name("session", m.session); f.text("why", m.why); }
template <class F> void fields(F &f, Turn &m) { f.name("session", m.session); f.texts("urls", m.urls); f.text("username", m.username); f.text("credential", m.credential); f.count("ttl", m.ttl); f.text("certificate_sha256", m.certificate_sha256); }
template <class F> void fields(F &f, Serve &m) { f.name("session", m.session); f.list("legs", m.legs); }
template <class F> void fields(F &f, Serving &m) { f.name("session", m.session); f.list("legs", m.legs); }
template <class F> void fields(F &f, Refuse &m) { f.name("session", m.session); f.text("reason", m.reason); }
template <class F> void fields(F &f, LegState &m) { f.name("session", m.session); f.name("leg", m.leg); f.name("state", m.state); f.number("ms", m.ms); }
template <class F> void fields(F &f, Load &m) { f.count("legs", m.legs); f.number("bits_per_second", m.bits_per_second); }
template <class F> void fields(F &f, Drain &m) { f.text("why", m.why); }
template <class F> void fields(F &f, Release &m) { f.name("session", m.session); }
template <class F> void fields(F &f, Reach &m) { f.name("session", m.session); f.name("direct", m.direct); f.text("why", m.why); }

/// In the order of Message.
constexpr std::array<std::string_view, std::variant_size_v<Message>> kNames = {
    "hello", "welcome", "moved", "wrong", "open", "session", "refused", "invite", "trying", "accept",
    "decline", "signal", "rung", "bye", "need", "node", "node-up", "node-failed", "no-node", "turn", "serve", "serving", "refuse",
    "leg", "load", "drain", "release", "reach"};
// clang-format on

/// Dumping and destroying go as deep as the text does.
bool too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char each = text[i];
    if (quoted) {
      if (each == '\\')
        ++i;
      else if (each == '"')
        quoted = false;
    } else if (each == '"') {
      quoted = true;
    } else if (each == '{' || each == '[') {
      if (++depth > kMostDepth) return true;
    } else if ((each == '}' || each == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

/// No line ends and no other control characters: such texts reach logs and terminals.
bool is_clean(std::string_view text) {
  return std::ranges::none_of(
      text, [](char each) { return static_cast<unsigned char>(each) < ' ' || each == '\x7f'; });
}

std::string dumped(const json &value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

class Reader {
 public:
  explicit Reader(const json &object) : object_(object) {}

  std::string failure;  ///< the first; empty: none

  void name(const char *key, std::string &into, std::size_t most = kMostName) {
    take_text(key, into, most, true);
  }
  void text(const char *key, std::string &into) { take_text(key, into, kMostText, false); }
  void number(const char *key, double &into) {
    const json *value = find(key);
    if (!value) return;
    if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() < 0 ||
        value->get<double>() > kMostNumber)
      return fail(key, "must be a number, not below 0");
    into = value->get<double>();
  }
  void count(const char *key, std::uint32_t &into) {
    const json *value = find(key);
    if (!value) return;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > UINT32_MAX)
      return fail(key, "must be a whole number, not below 0");
    into = value->get<std::uint32_t>();
  }
  void flag(const char *key, bool &into) {
    const json *value = find(key);
    if (!value) return;
    if (!value->is_boolean()) return fail(key, "must be true or false");
    into = value->get<bool>();
  }
  void version(const char *key, int &into) {
    const json *value = find(key);
    if (!value || !value->is_number_unsigned() || *value != kVersion)
      return fail(key,
                  "must be " + std::to_string(kVersion) + "; update the older of both programs");
    into = kVersion;
  }
  void role(const char *key, Role &into) {
    std::string word;
    take_text(key, word, kMostName, true);
    if (word == to_string(Role::Client))
      into = Role::Client;
    else if (word == to_string(Role::Node))
      into = Role::Node;
    else
      fail(key, "must be \"client\" or \"node\"");
  }
  void object(const char *key, Object &into, bool needed = false) {
    const json *value = find(key);
    if (!value && !needed) return;
    if (!value || !value->is_object()) return fail(key, "must be an object");
    std::string text = dumped(*value);
    if (text.size() > kMostObject)
      return fail(key, "has more than " + std::to_string(kMostObject) + " bytes");
    into = std::move(text);
  }
  void texts(const char *key, std::vector<std::string> &into) {
    const json *value = list_at(key);
    if (!value) return;
    for (const json &each : *value) {
      const auto *text = each.get_ptr<const std::string *>();
      if (!text || text->size() > kMostText || !is_clean(*text))
        return fail(key, "must be a list of texts");
      into.push_back(*text);
    }
  }
  /// Words that are not known are left out.
  void families(const char *key, Families &into) {
    std::vector<std::string> words;
    texts(key, words);
    into.v4 = std::ranges::count(words, kV4) > 0;
    into.v6 = std::ranges::count(words, kV6) > 0;
  }
  template <class T>
  void list(const char *key, std::vector<T> &into) {
    const json *value = list_at(key);
    if (!value) return;
    for (const json &each : *value) {
      T entry;
      if (!take_object(key, each, entry)) return;
      into.push_back(std::move(entry));
    }
  }
  template <class T>
  void optional(const char *key, std::optional<T> &into) {
    const json *value = find(key);
    T entry;
    if (value && take_object(key, *value, entry)) into = std::move(entry);
  }

 private:
  const json *find(const char *key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  void fail(const char *key, const std::string &what) {
    if (failure.empty()) failure = "'" + std::string(key) + "' " + what;
  }
  void take_text(const char *key, std::string &into, std::size_t most, bool needed) {
    const json *value = find(key);
    if (!value && !needed) return;
    const auto *text = value ? value->get_ptr<const std::string *>() : nullptr;
    if (!text || text->size() > most || (needed && text->empty()) || !is_clean(*text))
      return fail(key, "must be a text of at most " + std::to_string(most) + " bytes in one line");
    into = *text;
  }
  const json *list_at(const char *key) {
    const json *value = find(key);
    if (!value) return nullptr;
    if (value->is_array() && value->size() <= kMostListed) return value;
    fail(key, "must be a list of at most " + std::to_string(kMostListed));
    return nullptr;
  }
  template <class T>
  bool take_object(const char *key, const json &value, T &into) {
    if (!value.is_object()) {
      fail(key, "must hold objects");
      return false;
    }
    Reader inner(value);
    fields(inner, into);
    if (inner.failure.empty()) return true;
    fail(key, "is wrong: " + inner.failure);
    return false;
  }

  const json &object_;
};

/// Leaves out what is empty and need not be there.
class Writer {
 public:
  template <class T>
  static json written(T &value) {
    Writer writer;
    fields(writer, value);
    return std::move(writer.out_);
  }

  void name(const char *key, const std::string &value, std::size_t = 0) { out_[key] = value; }
  void text(const char *key, const std::string &value) {
    if (!value.empty()) out_[key] = value;
  }
  void number(const char *key, double value) { out_[key] = value; }
  void count(const char *key, std::uint32_t value) { out_[key] = value; }
  void flag(const char *key, bool value) {
    if (value) out_[key] = true;
  }
  void version(const char *key, int value) { out_[key] = value; }
  void role(const char *key, Role value) { out_[key] = to_string(value); }
  void object(const char *key, const Object &value, bool = false) {
    if (!value.empty()) out_[key] = json::parse(value, nullptr, false);
  }
  void texts(const char *key, const std::vector<std::string> &values) {
    if (!values.empty()) out_[key] = values;
  }
  void families(const char *key, const Families &value) {
    std::vector<std::string> words;
    if (value.v4) words.emplace_back(kV4);
    if (value.v6) words.emplace_back(kV6);
    texts(key, words);
  }
  template <class T>
  void list(const char *key, std::vector<T> &values) {
    for (T &each : values) out_[key].push_back(written(each));
  }
  template <class T>
  void optional(const char *key, std::optional<T> &value) {
    if (value) out_[key] = written(*value);
  }

 private:
  json out_ = json::object();
};

template <std::size_t I>
Result<Message> read_as(const json &object) {
  std::variant_alternative_t<I, Message> message;
  Reader reader(object);
  fields(reader, message);
  if (!reader.failure.empty()) return bad_input(std::string(kNames[I]) + ": " + reader.failure);
  return Message(std::in_place_index<I>, std::move(message));
}

template <std::size_t... I>
Result<Message> read_named(std::string_view name, const json &object, std::index_sequence<I...>) {
  Result<Message> result = bad_input("there is no message '" + std::string(name) + "'");
  static_cast<void>(((kNames[I] == name && (result = read_as<I>(object), true)) || ...));
  return result;
}

}  // namespace

std::string_view to_string(Role role) { return role == Role::Node ? "node" : "client"; }

std::string_view name_of(const Message &message) { return kNames[message.index()]; }

Result<Message> read(std::string_view text) {
  if (text.size() > kMostBytes)
    return bad_input("a message has at most " + std::to_string(kMostBytes) + " bytes");
  if (too_deep(text))
    return bad_input("a message is at most " + std::to_string(kMostDepth) + " objects deep");
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return bad_input("a message is one JSON object");
  const auto type = object.find("type");
  const auto *name = type == object.end() ? nullptr : type->get_ptr<const std::string *>();
  if (!name || name->size() > kMostName || !is_clean(*name))
    return bad_input("a message says in 'type' which it is");
  return read_named(*name, object, std::make_index_sequence<std::variant_size_v<Message>>());
}

std::string write(const Message &message) {
  Message copy = message;
  json object = std::visit([](auto &each) { return Writer::written(each); }, copy);
  object["type"] = name_of(message);
  return dumped(object);
}

}  // namespace junctor::nat::rendezvous
