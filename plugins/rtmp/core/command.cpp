// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/command.h"

#include <iterator>

namespace junctor::rtmp {

namespace {

/// The values of a command or data message. Types 15 and 17 put a byte of 0 (AMF0 follows) before
/// them; no value that may come first begins with 0, so that it is taken off wherever it stands.
Result<std::vector<AmfValue>> values_of(const Message &message, const AmfLimits &limits) {
  ByteSpan bytes = message.payload.view;
  if (!bytes.empty() && bytes[0] == std::byte{0}) bytes = bytes.subspan(1);
  return read_amf0(bytes, limits);
}

SharedBytes encode(const std::vector<const AmfValue *> &values) {
  Bytes payload;
  for (const AmfValue *value : values) write_amf0(*value, payload);
  return SharedBytes::own(std::move(payload));
}

}  // namespace

std::string Command::string(std::size_t index) const {
  const std::string *text = index < arguments.size() ? arguments[index].string() : nullptr;
  return text ? *text : std::string();
}

double Command::number(std::size_t index, double fallback) const {
  const double *number = index < arguments.size() ? arguments[index].number() : nullptr;
  return number ? *number : fallback;
}

Result<Command> parse_command(const Message &message, const AmfLimits &limits) {
  auto values = values_of(message, limits);
  if (!values) return values.error();
  if (values->empty() || !values->front().string())
    return bad_input("A command without a name is refused.");
  Command command;
  command.name = *values->front().string();
  auto next = values->begin() + 1;
  if (next != values->end()) {
    if (const double *transaction = next->number()) command.transaction = *transaction;
    ++next;
  }
  if (next != values->end()) command.object = std::move(*next++);
  command.arguments.assign(std::make_move_iterator(next), std::make_move_iterator(values->end()));
  return command;
}

Message make_command(const Command &command, std::uint32_t stream, std::uint32_t chunk_stream) {
  const AmfValue name(command.name), transaction(command.transaction);
  std::vector<const AmfValue *> values{&name, &transaction, &command.object};
  for (const AmfValue &argument : command.arguments) values.push_back(&argument);
  Message message;
  message.type = MessageType::CommandAmf0;
  message.chunk_stream = chunk_stream;
  message.stream = stream;
  message.payload = encode(values);
  return message;
}

Message make_status(std::uint32_t stream, std::string_view level, std::string_view code,
                    std::string_view description) {
  Command command;
  command.name = "onStatus";
  command.arguments.push_back(
      AmfObject{{"level", level}, {"code", code}, {"description", description}});
  return make_command(command, stream);
}

Result<Data> parse_data(const Message &message, const AmfLimits &limits) {
  auto values = values_of(message, limits);
  if (!values) return values.error();
  Data data;
  auto next = values->begin();
  if (next != values->end() && next->string() && *next->string() == "@setDataFrame") {
    data.set_data_frame = true;
    ++next;
  }
  if (next == values->end() || !next->string())
    return bad_input("A data message without a name is refused.");
  data.name = *next++->string();
  data.values.assign(std::make_move_iterator(next), std::make_move_iterator(values->end()));
  return data;
}

Message make_data(const Data &data, std::uint32_t stream, std::uint32_t timestamp) {
  const AmfValue keep("@setDataFrame"), name(data.name);
  std::vector<const AmfValue *> values;
  if (data.set_data_frame) values.push_back(&keep);
  values.push_back(&name);
  for (const AmfValue &value : data.values) values.push_back(&value);
  Message message;
  message.type = MessageType::DataAmf0;
  message.chunk_stream = kDataChunkStream;
  message.stream = stream;
  message.timestamp = timestamp;
  message.payload = encode(values);
  return message;
}

}  // namespace junctor::rtmp
