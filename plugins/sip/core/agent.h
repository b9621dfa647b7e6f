// SPDX-License-Identifier: LGPL-2.1-or-later
// SIP user agent and registrar on Sofia-SIP.
#pragma once

#include <glib.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/end_reason.h"
#include "common/endpoint.h"
#include "common/log.h"
#include "common/reactor.h"
#include "common/result.h"
#include "rtp/core/formats.h"
#include "rtp/core/session.h"
#include "sip/core/connections.h"
#include "sip/core/offered.h"
#include "sip/core/sdp.h"
#include "sip/core/sofia_tls.h"
#include "sip/core/trunk.h"

namespace junctor::sip {

using sdp::Direction;  // in Media as we see it

/// One medium as offer and answer agreed on it.
struct Media {
  Medium medium = Medium::Audio;
  bool accepted = false;                ///< false: the peer set the port to 0 or left the line out
  const rtp::Format *format = nullptr;  ///< the format we send; null unless accepted
  /// The peer's, for the format. Of a variable format always with a configuration that
  /// AacConfig::from_fmtp() reads: ours, if the peer left its parameters out.
  std::string fmtp;
  std::uint32_t clock_rate = 0;  ///< Hz, of both ways
  int channels = 1;
  int kbit_per_second = 0;        ///< that the peer wants at most (RFC 4566 section 5.8); 0: any
  int payload_type = -1;          ///< that we send
  int receive_payload_type = -1;  ///< that the peer sends, in our numbering
  Direction direction = Direction::SendRecv;
  std::optional<rtp::SrtpSuite> srtp;     ///< that encrypts both ways; nothing: plain RTP
  std::shared_ptr<rtp::Session> session;  ///< configured to match
};

/// How a call is doing. Early: a provisional answer carried SDP.
enum class CallState : std::uint8_t { Trying, Ringing, Answered, Ended };

/// How a call that came to us is answered.
struct AnswerOptions {
  /// What may be agreed on, or is offered if the caller offered nothing; see Offered::rank.
  std::vector<Offered> offer;
  /// For H264 in an offer: as in InviteOptions.
  std::optional<rtp::H264Profile> h264;
  /// As in InviteOptions. A caller that asks for SRTP over plain signalling gets it with `Prefer`:
  /// its key has been seen already, and plain RTP would not be better.
  rtp::SrtpPolicy srtp = rtp::SrtpPolicy::Off;
  std::shared_ptr<Reactor> reactor;  ///< that the media sessions live on
};

/// How a digit came.
enum class DtmfMethod : std::uint8_t { RtpEvent, Info };
std::string_view to_string(DtmfMethod method);  ///< "rtp-event", "info"

/// A key that the peer pressed.
struct Dtmf {
  char digit = '0';   ///< of rtp::kDigits
  Duration length{};  ///< that it sounded
  DtmfMethod method = DtmfMethod::RtpEvent;
};
/// How long digits sound unless told; and in what bounds they may.
inline constexpr Duration kDtmfLength = std::chrono::milliseconds(160);
inline constexpr Duration kLeastDtmf = std::chrono::milliseconds(40);
inline constexpr Duration kMostDtmf = std::chrono::seconds(10);
/// Digits of one send_dtmf().
inline constexpr std::size_t kMostDigits = 32;

/// Checks what is to be sent; the error is a sentence for people.
Result<void> check_dtmf(std::string_view digits, Duration length);

class Call;

/// Called on the agent's thread; never after on_ended. Held weakly by the call.
class CallListener {
 public:
  virtual ~CallListener() = default;
  virtual void on_ringing(Call &) {}        ///< 180, each time
  virtual void on_early_media(Call &) {}    ///< a provisional response with SDP; media() is valid
  virtual void on_answered(Call &) {}       ///< 200 with an acceptable answer; media() is valid
  virtual void on_media_changed(Call &) {}  ///< re-INVITE or UPDATE: hold, resume, new address
  virtual void on_keyframe_request(Call &) {}    ///< INFO picture_fast_update (RFC 5168)
  virtual void on_dtmf(Call &, const Dtmf &) {}  ///< once for each key, when it is let go
  /// `code` is the SIP status, 0 where there was none; `text` says what happened, for people.
  virtual void on_ended(Call &, EndReason, int /*code*/, const std::string & /*text*/) {}
};

/// Where a call goes that its callee redirects, and what goes along.
struct Redirection {
  std::string uri{};  ///< empty: what the callee named
  /// As in InviteOptions. To the host that the call was for, what is empty stays as it was there;
  /// to another one goes nothing but what is here.
  std::string proxy{}, user{}, password{}, asserted{};
  /// The stricter one of this and the call's holds from then on.
  rtp::SrtpPolicy srtp = rtp::SrtpPolicy::Off;
};

struct InviteOptions {
  std::string uri;             ///< "sip:bob@host:port;transport=tcp"
  std::string from_user;       ///< user part of From
  std::string from_display;    ///< shown to the callee; may be empty
  std::string from_host;       ///< of From; empty: our address towards the callee
  std::string asserted;        ///< URI of a P-Asserted-Identity (RFC 3325); empty for none
  std::string proxy;           ///< outbound proxy URI, empty for none
  std::string user, password;  ///< for 401/407; empty: cannot answer challenges
  /// What becomes of a redirection (3xx) to this URI, which has no parameter but transport;
  /// nothing: it is not followed. Unset: none is. Agent's thread; what it needs must outlive the
  /// call.
  std::function<std::optional<Redirection>(const std::string &uri)> redirect;
  /// Offered, in order of preference within each medium; a medium without any has no line. Empty:
  /// as `codecs` say.
  std::vector<Offered> offer;
  /// Each in all its formats, in order; empty: all that the table has `by_default`.
  std::vector<Codec> codecs;
  /// For H264: the profile offered, as the SPS that will be sent has it.
  std::optional<rtp::H264Profile> h264;
  /// `Prefer` offers keys over TLS only (RFC 4568 section 8.3); `Require` without TLS fails.
  rtp::SrtpPolicy srtp = rtp::SrtpPolicy::Off;
  std::shared_ptr<Reactor> reactor;                    ///< that the media sessions live on
  Duration answer_timeout = std::chrono::seconds(60);  ///< then CANCEL, NoAnswer
};

/// One call. Agent's thread, except id() and media_snapshot(). Kept alive by the agent until ended.
class Call {
 public:
  virtual ~Call() = default;
  virtual const std::string &id() const = 0;  ///< SIP Call-ID; any thread
  virtual CallState state() const = 0;
  /// The URI that a redirection led to; empty while the call is for InviteOptions::uri.
  virtual std::string redirected_to() const { return {}; }
  /// What carries its signalling to the next hop: "udp", "tcp", "tls".
  virtual std::string transport() const { return "udp"; }
  /// After early media or answer. Of our own calls audio first, else as the caller has them.
  virtual const std::vector<Media> &media() const = 0;
  virtual std::vector<Media> media_snapshot() const = 0;  ///< any thread
  virtual void set_listener(std::weak_ptr<CallListener> listener) = 0;
  /// CANCEL or BYE, whichever fits; of a call that came to us and is not answered a refusal by
  /// status_of(reason). on_ended follows with `reason`.
  virtual void hangup(EndReason reason) = 0;
  /// The same with words of why, which a refusal carries for people.
  virtual void hangup(EndReason reason, const std::string & /*why*/) { hangup(reason); }
  /// Of a call that came to us and is not answered yet: whether its media could be encrypted as
  /// `policy` wants it. The error says why not; then it need not ring.
  virtual Result<void> can_encrypt(rtp::SrtpPolicy /*policy*/) const { return {}; }
  /// Of a call that came to us: 180.
  virtual void alert() {}
  /// Of a call that came to us: 200. media() is valid then, or, if the caller offered nothing, with
  /// the on_media_changed that follows its ACK. An error has ended the call, which on_ended tells.
  /// PeerClosed: it had ended already, and on_ended tells why.
  virtual Result<void> answer(const AnswerOptions &) { return refused("it is our own call"); }
  /// Digits for the peer, in order, behind those that are still to be sent: as RTP events where it
  /// knows them, else by INFO. Fails for what check_dtmf() refuses, and where nothing can be sent.
  virtual Result<void> send_dtmf(std::string_view digits, Duration length = kDtmfLength) = 0;
  /// INFO picture_fast_update; for peers without RTCP feedback.
  virtual void request_keyframe_by_info() = 0;
};

/// A call that came to us and waits for its answer. What is a text of the peer's is fit for people.
struct IncomingCall {
  std::shared_ptr<Call> call;  ///< set its listener, then alert() it or hang it up
  std::string to;              ///< user of the Request-URI, unescaped; never empty
  std::string account;         ///< whose password the caller has proved; empty: nobody's
  std::string uri;             ///< of From, "sip:bob@example.org": not proved by anything
  std::string display;         ///< name in From; may be empty
  std::string trunk{};         ///< name of the trunk that it came over, which says who `to` is
};

/// Whose calls are taken.
enum class Callers : std::uint8_t {
  Accounts,  ///< who prove an account's password
  Anyone,    ///< everybody; a password that is shown all the same must be right
};

/// Where one account can be reached.
struct Registration {
  std::string account;
  std::string contact;  ///< URI as registered
  std::string route;    ///< URI that reaches the flow it registered on (RFC 5626 in spirit)
  Endpoint source;
  std::string user_agent;
  Time expires{};
};

struct AgentOptions {
  Endpoint listen{"0.0.0.0", 5060};  ///< UDP and TCP, the same port
  bool tcp = true;
  std::optional<AgentTls> tls;  ///< nothing: neither taken nor called over TLS
  std::string
      media_address;  ///< put into SDP and bound; empty: the source address towards the peer
  std::uint16_t rtp_low = 20000, rtp_high = 29999;
  std::string user_agent = "Junctor";
  std::string realm = "junctor";
  /// RFC 2617 HA1 = MD5(user:realm:password) in hex, nothing for unknown users. Unset: no
  /// registrar.
  std::function<std::optional<std::string>(const std::string &user)> ha1;
  Callers callers = Callers::Accounts;  ///< without `ha1` nobody is an account
  std::size_t max_calls = 10000;        ///< both ways together
  /// 64 * T1 of RFC 3261: how long a request waits for a peer that says nothing, and a 200 for its
  /// ACK.
  Duration transaction_timeout = std::chrono::seconds(32);
  /// Requests of others that belong to no call of ours, each of which holds memory for
  /// `transaction_timeout`; beyond, they are told 503 with Retry-After. For each address_group(),
  /// and in all: Admission says whom the second one meets.
  std::size_t max_requests_per_peer = 1000, max_requests = 5000;
  ConnectionLimits connections;  ///< that others open to us over TCP
  /// How long a call lasts that nobody refreshes (RFC 4028), as we ask for it; 0: we do not. And
  /// the least that others may ask for.
  std::chrono::seconds session_expires{1800}, min_session_expires{90};
  LogSink log;
};

/// One SIP stack on one GMainContext; every call of it runs in the thread that iterates that.
class Agent {
 public:
  /// On the thread that iterates `context` (null: the default one). Keeps to the traps known of
  /// Sofia: own shutdown timer, handles destroyed once, no 2xx towards hostile Contacts.
  static Result<std::shared_ptr<Agent>> create(GMainContext *context, AgentOptions options);
  virtual ~Agent() = default;

  virtual Endpoint local() const = 0;  ///< with the port really bound; any thread
  /// The same, of TLS; port 0 without. Any thread.
  virtual Endpoint local_tls() const { return {}; }
  /// That its thread iterates: where others post what must run on the agent's thread. Any thread.
  virtual GMainContext *context() = 0;
  /// Sends INVITE. Fails at once for a malformed URI or when over max_calls, and where
  /// InviteOptions::srtp rules it out.
  virtual Result<std::shared_ptr<Call>> invite(const InviteOptions &options,
                                               std::weak_ptr<CallListener> listener) = 0;
  /// Who takes the calls that come to us, in the agent's thread; until then they are refused (480).
  // NOLINTNEXTLINE(performance-unnecessary-value-param): an agent keeps it.
  virtual void set_incoming(std::function<void(const IncomingCall &)>) {}
  /// Registers there, and again and again until shutdown(), which takes it back. Fails at once for
  /// what cannot be used. `changed` is called for each change of state.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): an agent keeps both.
  virtual Result<void> add_trunk(TrunkOptions, std::function<void(const TrunkStatus &)>) {
    return refused("there are no trunks here");
  }
  virtual std::vector<TrunkStatus> trunks() const { return {}; }
  /// Any thread. Null if there is none such. A `sipcallsink` with property `call` finds its call
  /// so.
  virtual std::shared_ptr<Call> find_call(const std::string &id) const = 0;
  virtual std::vector<Registration> registrations(const std::string &account) const = 0;
  /// Drops them: an account that is gone cannot be called any more.
  virtual void forget_registrations(const std::string &) {}
  virtual std::size_t calls() const = 0;
  /// How long shutdown() waits for the stack itself, once nobody else is waited for.
  static constexpr Duration kStackPatience = std::chrono::seconds(1);
  /// Ends all calls with `reason`, waits at most `patience` for the peers' word on it and for what
  /// listeners are still to be told, then at most kStackPatience for the stack, all the while
  /// iterating its context, and drops it. Further calls do nothing.
  virtual void shutdown(EndReason reason, Duration patience) = 0;
};

}  // namespace junctor::sip
