// SPDX-License-Identifier: LGPL-2.1-or-later
// What an operator can set, and the defaults.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/endpoint.h"
#include "common/log.h"
#include "common/result.h"
#include "nat/core/stun_responder.h"
#include "nodes/choice.h"
#include "rendezvous/rendezvous.h"
#include "rtmp/core/server.h"
#include "rtp/core/stun.h"
#include "sip/core/agent.h"

namespace junctor::config {

/// A dialling rule: SIP addresses that accounts may call, and how they are reached.
struct Allow {
  std::string uri;                        ///< "sip:*@example.org"; * stands for anything
  std::string user, password;             ///< answer to 401 and 407; empty for none
  std::string proxy;                      ///< outbound proxy as a SIP URI; empty for none
  std::optional<rtp::SrtpPolicy> srtp{};  ///< of calls to them; nothing: Sip::srtp
};

/// Another SIP server that calls go to and come from; see sip::TrunkOptions.
struct Trunk {
  std::string name;
  std::string uri;
  std::string user, password;
  std::string password_file;  ///< of mode 0600, instead of a password here
  std::string proxy;
  bool registers = true;
  std::chrono::seconds expires{600};
  std::vector<std::string> dial;      ///< numbers that go there, with '*' for anything
  std::vector<std::string> accounts;  ///< that may call there; "*": all
  std::string from;                   ///< user of From; empty: `user`
  std::string asserted;               ///< P-Asserted-Identity; empty for none
  std::string account;                ///< that is called by numbers which are not in `numbers`
  std::map<std::string, std::string> numbers;  ///< dialled there: account here
  std::vector<std::string> networks;           ///< that calls may come from besides the registrar
  std::optional<rtp::SrtpPolicy> srtp;         ///< of calls both ways; nothing: Sip::srtp
};

/// "off", "prefer" or "require"; the error says so.
Result<rtp::SrtpPolicy> parse_srtp(std::string_view text);

/// When an RTMP terminal must say who it is.
enum class Identity : std::uint8_t {
  AtConnect,  ///< token in the URL of the server: each of the three checks verifies it
  AtPublish,  ///< a token in the stream name is good enough
};

struct Listen {  // nothing: off
  std::optional<Endpoint> rtmp = Endpoint{"0.0.0.0", 1935};
  std::optional<Endpoint> rtmps;
  std::optional<Endpoint> sip = Endpoint{"0.0.0.0", 5060};
  std::optional<Endpoint> sips;
  std::optional<Endpoint> http = Endpoint{"127.0.0.1", 8080};
  std::optional<Endpoint> https;
  std::optional<Endpoint> stun = Endpoint{"0.0.0.0", rtp::stun::kDefaultPort};
  std::uint16_t rtp_low = 20000, rtp_high = 29999;
};

struct Tls {
  std::string certificate, key;  ///< PEM files; both empty: one of our own making
};

struct Rtmp {
  Identity identity = Identity::AtConnect;
  std::vector<std::string> applications = {"call"};
  std::vector<std::string> networks;     ///< that may connect; empty: all
  std::size_t streams_per_account = 16;  ///< running at once
  rtmp::Limits limits;
};

/// Who decides the checks of RTMP terminals.
struct Accounts {
  std::string webhook;  ///< URL that is asked; empty: the accounts of this server decide
  std::chrono::milliseconds webhook_timeout{3000};
  std::string webhook_secret_file;  ///< what it is shown as a bearer token; empty: nothing
  std::string webhook_ca_file;      ///< that its certificate is verified with; empty: the system's
  std::size_t webhook_requests = 64;  ///< at once
};

struct Sip {
  bool tcp = true;
  std::string realm;          ///< of digest authentication; empty: the one that the accounts have
  std::string media_address;  ///< put into SDP; empty: the source address towards the peer
  /// Encryption of media of phones whose account or dialling rule says nothing else.
  rtp::SrtpPolicy srtp = rtp::SrtpPolicy::Prefer;
  std::string tls_ca;  ///< PEM: who is believed about servers called over TLS; empty: the system's
  bool tls_verify = true;  ///< false: their certificates are not looked at
  std::chrono::seconds answer_timeout{60};
  std::vector<Allow> allow;
  std::vector<Trunk> trunks;
  std::chrono::seconds session_expires = sip::AgentOptions().session_expires;  ///< 0: not asked for
  sip::Callers incoming = sip::Callers::Accounts;  ///< who may call accounts
  std::vector<std::string> formats;                ///< that calls offer; empty: all
  sip::ConnectionLimits connections;               ///< that others open over TCP
  /// Requests outside of calls that are open at once, in all and for each address.
  std::size_t requests = sip::AgentOptions().max_requests;
  std::size_t requests_per_address = sip::AgentOptions().max_requests_per_peer;
};

struct Stun {
  /// Another port, and best another address too; see nat::StunServerOptions.
  std::optional<Endpoint> alternate;
  bool next_port =
      true;  ///< without `alternate`: the port after that of Listen::stun, if it is free
  unsigned requests_per_second = nat::StunLimits().per_second;  ///< of one source
};

enum class TurnMode : std::uint8_t {
  Off,
  Own,    ///< coturn as our child
  Other,  ///< somebody's that knows the same secret
};

/// The relay that clients use when nothing else connects them.
struct Turn {
  TurnMode mode = TurnMode::Off;
  std::vector<std::string> urls;            ///< of another's: "turn:HOST:PORT?transport=udp"
  std::string secret_file;                  ///< of mode 0600, for another's
  std::chrono::seconds lifetime{6 * 3600};  ///< of credentials
  Endpoint listen{"0.0.0.0", 3480};         ///< UDP and TCP
  std::optional<Endpoint> tls = Endpoint{"0.0.0.0", 5349};
  std::uint16_t low = 49152, high = 65535;  ///< UDP ports of relayed addresses
  std::vector<std::string> allowed_peers;   ///< that it relays to though they are private
  std::uint64_t bytes_per_second = 0;       ///< of each allocation; 0: any
};

/// Devices that accounts lend.
struct Nodes {
  bool accept = true;
  nodes::Rule rule = nodes::Rule::Nearest;  ///< which one a session is brought to
};

/// A STUN server that clients measure, to take the nearest.
struct StunRegion {
  std::string name;
  std::string stun;  ///< HOST:PORT
};

struct Watchdog {
  std::chrono::milliseconds interval{1000};
  unsigned tries = 30;
};

/// What terminals see and hear of a call's states.
struct Media {
  std::string country = "itu";               ///< whose tones
  std::string pictures, tones;               ///< directories of the operator's own; empty: none
  std::chrono::milliseconds farewell{4000};  ///< how long the end of a failed call is shown
};

struct Calls {
  std::size_t max = 1000;
  unsigned keep_days = 365;  ///< records of ended calls
};

struct Config {
  std::string data_dir;
  std::string public_host;  ///< in ready-made URLs; empty: this machine's address
  LogLevel log = LogLevel::Info;
  Listen listen;
  Tls tls;
  Rtmp rtmp;
  Accounts accounts;
  Sip sip;
  Stun stun;
  Turn turn;
  Nodes nodes;
  std::vector<StunRegion> regions;
  rendezvous::Limits rendezvous;
  Watchdog watchdog;
  Media media;
  Calls calls;
};

/// Whether an account's name and password open RTMP: who may come without saying who it is, or is
/// checked by a webhook, is not asked for them.
inline bool passwords_open_rtmp(const Config &config) {
  return config.rtmp.identity == Identity::AtConnect && config.accounts.webhook.empty();
}

/// Reads TOML over what `config` holds. The error names file, line and what to write instead; then
/// `config` is partly changed. `name` is for messages.
Result<void> read_text(std::string_view text, const std::string &name, Config &config);
Result<void> read_file(const std::string &path, Config &config);

/// All keys with an explanation, "sip.allow" and so on, for documents and tests.
std::vector<std::pair<std::string, std::string>> keys();

/// "LOW-HIGH" with at least four ports, which a call takes.
Result<std::pair<std::uint16_t, std::uint16_t>> parse_port_range(std::string_view text);
/// ADDRESS:PORT, or `off` for nothing.
Result<std::optional<Endpoint>> parse_listen(std::string_view text);
Result<LogLevel> parse_log_level(std::string_view text);
std::string_view to_string(LogLevel level);

/// $JUNCTOR_DATA_DIR, else /var/lib/junctor for root, else $XDG_DATA_HOME/junctor or
/// ~/.local/share/junctor.
std::string default_data_dir();

}  // namespace junctor::config
