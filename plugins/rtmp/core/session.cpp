// SPDX-License-Identifier: LGPL-2.1-or-later
// Checks, media and control messages of a session.
#include "rtmp/core/session.h"

#include <algorithm>
#include <array>

#include "rtmp/core/locator.h"

namespace junctor::rtmp {

namespace {

constexpr std::size_t kMaxReason = 512;
/// Checks after the one of connect: so many at once, or what all streams need, and then one in each
/// such time. Each costs others something, also if its stream ends before the next.
constexpr std::size_t kChecks = 64;
constexpr Duration kCheckInterval = std::chrono::seconds(1);

Time after(Time now, int milliseconds) {
  return milliseconds > 0 ? now + std::chrono::milliseconds(milliseconds) : Time::max();
}

ChunkLimits chunk_limits(const Limits &limits) {
  return {limits.command_bytes, limits.media_bytes, limits.connection_bytes, limits.chunk_streams};
}

/// Of a stranger, whose media nobody would look at.
ChunkLimits limits_before_connect(const Limits &limits) {
  ChunkLimits small = chunk_limits(limits);
  small.media_bytes = std::min(small.media_bytes, small.command_bytes);
  small.connection_bytes = std::min(small.connection_bytes, 2 * small.command_bytes);
  return small;
}

}  // namespace

std::string_view level_of(std::string_view code) {
  static constexpr std::array<std::string_view, 7> kFailures = {
      "Failed", "Denied", "BadName", "NotFound", "Rejected", "Error", "Invalid"};
  return std::any_of(kFailures.begin(), kFailures.end(),
                     [&](std::string_view word) { return code.find(word) != code.npos; })
             ? "error"
             : "status";
}

Session::Session(SessionOptions options, SessionEvents &events, Time now)
    : options_(std::move(options)),
      events_(events),
      handshake_(options_.random),
      reader_(limits_before_connect(options_.limits)),
      now_(now),
      limit_(after(now, options_.limits.handshake_ms)),
      last_receive_(now),
      checks_(static_cast<unsigned>(std::max(kChecks, 2 * options_.limits.streams)),
              kCheckInterval) {
  identity_request_.connection = options_.connection;
  identity_request_.address = options_.peer;
  identity_request_.secure = options_.secure;
}

std::size_t Session::receive(ByteSpan input, Time now) {
  now_ = now;
  last_receive_ = now;
  std::size_t taken = 0;
  if (closing_) return input.size();
  if (progress_ == Progress::Handshake) {
    const auto read = handshake_.push(input, output_);
    if (!read) {
      close(read.error());
      return input.size();
    }
    taken = *read;
    if (!handshake_.done()) return taken;
    progress_ = Progress::Connect;
  }
  if (!wants_input()) return taken;
  const auto read = reader_.push(input.subspan(taken),
                                 [this](Message &&message) { return this->on_message(message); });
  if (!read) {
    // An error that a message's handler found comes first: it is nearer to the cause.
    if (!closing_) close(read.error());
    return input.size();
  }
  if (!closing_) acknowledge();
  return taken + *read;
}

ChunkReader::Flow Session::on_message(const Message &message) {
  switch (message.type) {
    case MessageType::Audio:
    case MessageType::Video:
    case MessageType::DataAmf0:
    case MessageType::DataAmf3:
      on_media(message);
      break;
    case MessageType::Aggregate:
      if (const auto split =
              split_aggregate(message, [this](Message &&part) { this->on_media(part); });
          !split && !closing_)
        close(split.error());
      break;
    case MessageType::CommandAmf0:
    case MessageType::CommandAmf3:
      on_command(message);
      break;
    case MessageType::WindowAckSize:
      if (const auto value = control_value(message)) {
        peer_window_ = std::max<std::uint32_t>(*value, 1);
      } else {
        close(value.error());
      }
      break;
    case MessageType::SetPeerBandwidth:
      send(window_ack_size(kServerWindow));
      break;
    case MessageType::UserControl:
      on_user_control(message);
      break;
    case MessageType::SetChunkSize:  // these two have been applied by the reader
    case MessageType::Abort:
    case MessageType::Acknowledgement:
    case MessageType::SharedObjectAmf0:
    case MessageType::SharedObjectAmf3:
      break;
  }
  return wants_input() ? ChunkReader::Flow::Continue : ChunkReader::Flow::Pause;
}

void Session::on_media(const Message &message) {
  if (closing_) return;
  const Stream *stream = stream_of(message.stream);
  if (stream && stream->use == Use::Publishing) events_.on_media(message.stream, message);
}

void Session::on_user_control(const Message &message) {
  const auto control = parse_user_control(message);
  if (!control) {
    close(control.error());
    return;
  }
  if (control->event == UserEvent::PingRequest)
    send(user_control({UserEvent::PingResponse, control->value, 0}));
}

void Session::acknowledge() {
  // Half a window early, for a peer that waits for it must not stand still.
  if (reader_.bytes_received() - acknowledged_ < peer_window_ / 2 + 1) return;
  acknowledged_ = reader_.bytes_received();
  send(acknowledgement(static_cast<std::uint32_t>(acknowledged_)));
}

void Session::ask(Request request, double transaction, std::uint32_t stream) {
  Check check{next_check_++, std::move(request), transaction, stream,
              after(now_, options_.limits.verdict_ms)};
  if (check.request.stage != Stage::Connect) {
    if (!checks_.may(now_)) {
      Verdict verdict;
      verdict.reason = "too many streams were created or begun in a short time; connect again";
      return refuse(check, verdict);
    }
    checks_.take(now_);
  }
  check_ = std::move(check);
  // A copy: whoever is asked may close the session, which forgets the check.
  const Check asked = *check_;
  events_.on_check(asked.number, asked.request);
}

void Session::decide(std::uint64_t number, const Verdict &verdict, Time now) {
  if (!check_ || check_->number != number || closing_) return;
  now_ = now;
  const Check check = std::move(*check_);
  check_.reset();
  // The peer was not listened to meanwhile: its silence is ours.
  last_receive_ = now;
  if (verdict.accepted) {
    if (!verdict.identity.empty()) identity_ = verdict.identity;
    if (check.request.stage == Stage::Connect) grant_ = verdict.grant;
    accept(check);
    Request request = check.request;
    request.identity = identity_;
    events_.on_checked(request, verdict);
    if (closing_ || check.request.stage != Stage::Start) return;
    if (request.role == Role::Push) {
      events_.on_publish(check.stream, request);
    } else {
      events_.on_play(check.stream, request);
    }
  } else {
    Verdict told = verdict;
    if (told.reason.empty()) told.reason = "not allowed";
    if (told.reason.size() > kMaxReason) told.reason.resize(kMaxReason);
    refuse(check, told);
    events_.on_checked(check.request, told);
  }
}

void Session::accept(const Check &check) {
  switch (check.request.stage) {
    case Stage::Connect: {
      progress_ = Progress::Connected;
      reader_.set_limits(chunk_limits(options_.limits));
      limit_ = after(now_, options_.limits.start_ms);
      send(window_ack_size(kServerWindow));
      send(set_peer_bandwidth(kServerWindow, BandwidthLimit::Dynamic));
      send(set_chunk_size(kServerChunkSize));
      AmfObject information{{"level", "status"},
                            {"code", "NetConnection.Connect.Success"},
                            {"description", "Connection accepted."},
                            {"objectEncoding", 0}};
      if (capabilities_.enhanced) add_capabilities(information);
      send_result(check.transaction, AmfObject{{"fmsVer", "FMS/3,0,1,123"}, {"capabilities", 31}},
                  std::move(information));
      break;
    }
    case Stage::CreateStream:
      streams_.push_back({check.stream, Use::None, {}, {}});
      send_result(check.transaction, AmfNull(), check.stream);
      break;
    case Stage::Start: {
      started_ = true;
      Stream *stream = stream_of(check.stream);
      stream->name = check.request.stream;
      stream->play = {};
      send(user_control({UserEvent::StreamBegin, check.stream, 0}));
      if (check.request.role == Role::Push) {
        stream->use = Use::Publishing;
        ++publishing_;
        announced_end_ = false;
        send_status(check.stream, "NetStream.Publish.Start",
                    check.request.stream + " is being published.");
      } else {
        stream->use = Use::Playing;
        ++playing_;
        send_status(check.stream, "NetStream.Play.Start",
                    check.request.stream + " is being played.");
      }
      break;
    }
  }
}

void Session::refuse(const Check &check, const Verdict &verdict) {
  switch (check.request.stage) {
    case Stage::Connect:
      send_error(check.transaction, "NetConnection.Connect.Rejected",
                 verdict.description.empty() ? verdict.reason : verdict.description);
      break;
    case Stage::CreateStream:
      send_error(check.transaction, "NetConnection.Call.Failed", verdict.reason);
      break;
    case Stage::Start:
      refuse_start(check.request.role, check.stream, verdict.refusal, verdict.reason);
      return;
  }
  close(refused(verdict.reason));
}

void Session::refuse_start(Role role, std::uint32_t stream, Refusal refusal,
                           std::string_view reason) {
  std::string_view code;
  if (role == Role::Push) {
    code = refusal == Refusal::NameTaken ? "NetStream.Publish.BadName" : "NetStream.Publish.Denied";
  } else {
    code = refusal == Refusal::UnknownStream ? "NetStream.Play.StreamNotFound"
                                             : "NetStream.Play.Failed";
  }
  send_status(stream, code, reason);
  close(refused(std::string(reason)));
}

void Session::tick(Time now) {
  now_ = now;
  if (closing_) return;
  if (check_) {
    if (now < check_->deadline) return;
    Verdict verdict;
    verdict.reason = "no verdict within " + std::to_string(options_.limits.verdict_ms) + " ms";
    decide(check_->number, verdict, now);
    return;
  }
  if (now < deadline()) return;
  const Limits &limits = options_.limits;
  std::string what;
  if (progress_ != Progress::Connected) {
    what = "no connect within " + std::to_string(limits.handshake_ms) + " ms";
  } else if (publishing_ == 0 && playing_ == 0) {
    what = "no publish or play within " + std::to_string(limits.start_ms) + " ms";
  } else {
    what = "nothing sent for " + std::to_string(limits.idle_ms) + " ms";
  }
  close({Fault::Timeout, std::move(what)});
}

Time Session::deadline() const {
  if (closing_) return Time::max();
  if (check_) return check_->deadline;
  if (publishing_ > 0) return after(last_receive_, options_.limits.idle_ms);
  // Whether a player lives, its connection knows.
  return playing_ > 0 ? Time::max() : limit_;
}

void Session::end_publish(std::uint32_t id, std::string_view code, std::string_view description) {
  if (closing_) return;
  send(user_control({UserEvent::StreamEof, id, 0}));
  send_status(id, code, description);
  close({Fault::PeerClosed, std::string(description)});
}

void Session::end_play(std::uint32_t id, std::string_view code, std::string_view description) {
  if (closing_) return;
  // The reason comes first: some players hear nothing after UnpublishNotify.
  constexpr std::string_view kGone = "NetStream.Play.UnpublishNotify";
  send_status(id, code, description);
  if (code != kGone) send_status(id, kGone, description);
  send(user_control({UserEvent::StreamEof, id, 0}));
  close({Fault::PeerClosed, std::string(description)});
}

void Session::close(Error reason) {
  if (closing_) return;
  closing_ = std::move(reason);
  check_.reset();
}

void Session::ping(Time now) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  send(user_control({UserEvent::PingRequest, static_cast<std::uint32_t>(ms.count()), 0}));
}

std::string_view Session::stage() const {
  if (progress_ == Progress::Handshake) return "handshake";
  if (progress_ == Progress::Connect) return "connect";
  if (publishing_ > 0) return "publishing";
  if (playing_ > 0) return "playing";
  if (streams_.empty()) return started_ ? "end" : "createStream";
  return role_ == Role::Pull ? "play" : role_ == Role::Push ? "publish" : "publish/play";
}

Session::Stream *Session::stream_of(std::uint32_t id) {
  for (Stream &stream : streams_)
    if (stream.id == id) return &stream;
  return nullptr;
}

void Session::stop(Stream &stream) {
  const Use use = std::exchange(stream.use, Use::None);
  if (use == Use::None) return;
  --(use == Use::Publishing ? publishing_ : playing_);
  if (publishing_ == 0 && playing_ == 0) limit_ = after(now_, options_.limits.start_ms);
  if (use == Use::Publishing) {
    send_status(stream.id, "NetStream.Unpublish.Success",
                stream.name + " is not published any more.");
    events_.on_unpublish(stream.id);
  } else {
    events_.on_play_stopped(stream.id);
  }
}

void Session::send_status(std::uint32_t stream, std::string_view code,
                          std::string_view description) {
  send(make_status(stream, level_of(code), code, description));
}

void Session::send_result(double transaction, AmfValue object, AmfValue value) {
  Command command{"_result", transaction, std::move(object), {}};
  command.arguments.push_back(std::move(value));
  send(make_command(command));
}

void Session::send_error(double transaction, std::string_view code, std::string_view description) {
  Command command{"_error", transaction, AmfNull(), {}};
  command.arguments.push_back(
      AmfObject{{"level", "error"}, {"code", code}, {"description", description}});
  send(make_command(command));
}

}  // namespace junctor::rtmp
