// SPDX-License-Identifier: LGPL-2.1-or-later
// What a session does for each command of its client.
#include <algorithm>

#include "rtmp/core/locator.h"
#include "rtmp/core/session.h"

namespace junctor::rtmp {

void Session::on_command(const Message &message) {
  auto command = parse_command(message, {.bytes = options_.limits.command_bytes});
  if (!command) {
    close(command.error());
    return;
  }
  const std::string &name = command->name;
  if (name == "_result" || name == "_error" || name == "onStatus") return;
  if (name == "connect") {
    on_connect(*command);
  } else if (progress_ != Progress::Connected) {
    send_error(command->transaction, "NetConnection.Call.Failed", "connect comes first");
    close(bad_input("the command \"" + printable(name, 32) + "\" before connect"));
  } else if (name == "createStream") {
    on_create_stream(*command);
  } else if (name == "publish") {
    on_publish_command(*command, message.stream);
  } else if (name == "play") {
    on_play_command(*command, message.stream, command->string(0));
  } else if (name == "play2") {
    const AmfMembers *options =
        command->arguments.empty() ? nullptr : command->arguments[0].members();
    on_play_command(*command, message.stream, options ? options->string("streamName") : "");
  } else if (name == "deleteStream") {
    on_delete_stream(*command, message.stream);
  } else if (name == "closeStream" || name == "pause" || name == "pauseRaw" ||
             name == "receiveAudio" || name == "receiveVideo" || name == "seek") {
    on_stream_command(*command, message.stream);
  } else {
    on_small_command(*command, message.stream);
  }
}

void Session::on_connect(const Command &command) {
  if (progress_ != Progress::Connect) {
    send_error(command.transaction, "NetConnection.Call.Failed", "connected already");
    close(bad_input("a second connect"));
    return;
  }
  const AmfMembers *object = command.object.members();
  if (object) capabilities_ = read_capabilities(*object);
  const std::string app = object ? object->string("app") : std::string();
  auto locator = parse_locator(app);
  // Some clients leave the query to the URL alone.
  if (locator && locator->parameters.empty() && object) {
    const std::string url = object->string("tcUrl");
    if (auto from_url = parse_locator("?" + std::string(query_of(url)))) {
      locator->parameters = std::move(from_url->parameters);
    } else {
      locator = from_url.error();
    }
  }
  if (!locator) {
    send_error(command.transaction, "NetConnection.Connect.Rejected", locator.error().detail);
    close(locator.error());
    return;
  }
  identity_request_.app = std::move(locator->name);
  identity_request_.parameters = std::move(locator->parameters);
  Request request = identity_request_;
  request.stage = Stage::Connect;
  ask(std::move(request), command.transaction, 0);
}

void Session::on_create_stream(const Command &command) {
  const std::size_t most = options_.limits.streams;
  if (streams_.size() >= most) {
    const std::string reason = "at most " + std::to_string(most) + " streams are allowed";
    send_error(command.transaction, "NetConnection.Call.Failed", reason);
    close(refused(reason));
    return;
  }
  std::uint32_t id = 1;
  while (stream_of(id)) ++id;
  Request request = identity_request_;
  request.stage = Stage::CreateStream;
  request.role = role_;
  request.identity = identity_;
  request.grant = grant_;
  ask(std::move(request), command.transaction, id);
}

void Session::on_publish_command(const Command &command, std::uint32_t stream) {
  role_ = Role::Push;
  start(Role::Push, stream, command.string(0), command.transaction);
}

void Session::on_play_command(const Command &command, std::uint32_t id, const std::string &name) {
  role_ = Role::Pull;
  if (Stream *stream = stream_of(id); stream && stream->use == Use::Playing) stop(*stream);
  start(Role::Pull, id, name, command.transaction);
}

void Session::start(Role role, std::uint32_t id, const std::string &name, double transaction) {
  const Stream *stream = stream_of(id);
  if (!stream)
    return refuse_start(role, id, Refusal::Denied,
                        "there is no stream " + std::to_string(id) + "; createStream comes first");
  if (stream->use != Use::None)
    return refuse_start(role, id, Refusal::NameTaken,
                        "stream " + std::to_string(id) + " is in use already");
  auto locator = parse_locator(name);
  if (!locator) return refuse_start(role, id, Refusal::Denied, locator.error().detail);
  if (locator->name.empty())
    return refuse_start(role, id, Refusal::UnknownStream, "the stream's name is empty");
  const bool published_here =
      std::any_of(streams_.begin(), streams_.end(), [&](const Stream &other) {
        return other.use == Use::Publishing && other.name == locator->name;
      });
  if (role == Role::Push && published_here)
    return refuse_start(role, id, Refusal::NameTaken, "this connection publishes the name already");
  Request request = identity_request_;
  request.stage = Stage::Start;
  request.role = role;
  request.identity = identity_;
  request.grant = grant_;
  request.stream = std::move(locator->name);
  for (auto &[key, value] : locator->parameters) {
    if (request.parameters.size() >= kMaxParameters && !request.parameters.contains(key))
      return refuse_start(role, id, Refusal::Denied, "too many parameters");
    request.parameters[key] = std::move(value);
  }
  ask(std::move(request), transaction, id);
}

void Session::on_stream_command(const Command &command, std::uint32_t id) {
  Stream *stream = stream_of(id);
  if (!stream) return;
  const bool *flag = command.arguments.empty() ? nullptr : command.arguments[0].boolean();
  if (command.name == "closeStream") {
    stop(*stream);
  } else if (command.name == "seek") {
    // Not refused: ffmpeg takes an error for the end of the stream.
    send_status(id, "NetStream.Seek.Notify", "A live stream goes on from the present.");
  } else if (command.name == "pause" || command.name == "pauseRaw") {
    const bool paused = flag && *flag;
    stream->play.paused = paused;
    send_status(id, paused ? "NetStream.Pause.Notify" : "NetStream.Unpause.Notify", stream->name);
    if (stream->use == Use::Playing) events_.on_play_state(id, stream->play);
  } else {
    (command.name == "receiveAudio" ? stream->play.audio : stream->play.video) = !flag || *flag;
    if (stream->use == Use::Playing) events_.on_play_state(id, stream->play);
  }
}

void Session::on_delete_stream(const Command &command, std::uint32_t id) {
  const AmfValue *argument = command.arguments.empty() ? nullptr : &command.arguments[0];
  if (argument && argument->number()) {
    const double number = *argument->number();
    id = number >= 0 && number <= 0xffffffff ? static_cast<std::uint32_t>(number) : 0;
  } else if (!stream_of(id) && streams_.size() == 1) {
    // GStreamer's rtmp2sink gives a name, on message stream 0.
    id = streams_[0].id;
  }
  Stream *stream = stream_of(id);
  if (!stream) return;
  stop(*stream);
  std::erase_if(streams_, [id](const Stream &other) { return other.id == id; });
}

void Session::on_small_command(const Command &command, std::uint32_t stream) {
  const std::string &name = command.name;
  // GStreamer sends some of these with transaction 0: no answer is wanted.
  const auto answer = [&](AmfValue value) {
    if (command.transaction != 0) send_result(command.transaction, AmfNull(), std::move(value));
  };
  const auto notify = [&](std::string_view event, std::string_view code) {
    Command told{std::string(event), 0, AmfNull(), {}};
    told.arguments.push_back(AmfObject{
        {"level", "status"}, {"code", code}, {"description", printable(command.string(0))}});
    send(make_command(told, stream));
  };
  if (name == "releaseStream") {
    role_ = Role::Push;
    answer(AmfUndefined());
  } else if (name == "FCPublish") {
    role_ = Role::Push;
    answer(AmfUndefined());
    notify("onFCPublish", "NetStream.Publish.Start");
  } else if (name == "FCUnpublish") {
    announced_end_ = publishing_ > 0;
    answer(AmfUndefined());
    notify("onFCUnpublish", "NetStream.Unpublish.Success");
  } else if (name == "FCSubscribe") {
    answer(AmfUndefined());
    notify("onFCSubscribe", "NetStream.Play.Start");
  } else if (name == "getStreamLength") {
    answer(0);  // live: it has none
  } else if (name == "_checkbw" || name == "FCUnsubscribe" || name == "setPlaylist") {
    answer(AmfUndefined());
  } else if (command.transaction != 0) {
    send_error(command.transaction, "NetConnection.Call.Failed",
               "\"" + printable(name, 32) + "\" is not known here");
  }
}

}  // namespace junctor::rtmp
