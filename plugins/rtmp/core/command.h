// SPDX-License-Identifier: LGPL-2.1-or-later
// AMF commands and data messages.
#pragma once

#include <string>
#include <vector>

#include "rtmp/core/amf0.h"
#include "rtmp/core/message.h"

namespace junctor::rtmp {

/// "connect", "publish", "_result", "onStatus" … (RTMP 1.0, 7.2).
struct Command {
  std::string name;
  double transaction = 0;           ///< 0 wants no answer
  AmfValue object;                  ///< the command object: null for most
  std::vector<AmfValue> arguments;  ///< what follows it

  /// Argument `index` as text; empty if it is missing or of another type.
  std::string string(std::size_t index) const;
  double number(std::size_t index, double fallback = 0) const;
};

/// Reads a message of type 20, or 17 (AMF0 behind a byte of 0). BadInput if there is no name; a
/// missing transaction counts as 0, for some clients leave it out.
Result<Command> parse_command(const Message &message, const AmfLimits &limits = {});

/// As type 20.
Message make_command(const Command &command, std::uint32_t stream = 0,
                     std::uint32_t chunk_stream = kCommandChunkStream);

/// onStatus(0, null, {level, code, description}); `level` is "status" or "error".
Message make_status(std::uint32_t stream, std::string_view level, std::string_view code,
                    std::string_view description);

/// A data message: "onMetaData", "onTextData" … with what follows. "@setDataFrame" in front, which
/// asks a server to keep the rest, is taken off and noted.
struct Data {
  std::string name;
  std::vector<AmfValue> values;
  bool set_data_frame = false;
};

/// Reads a message of type 18, or 15 (AMF0 behind a byte of 0).
Result<Data> parse_data(const Message &message, const AmfLimits &limits = {});

/// As type 18, on chunk stream 5.
Message make_data(const Data &data, std::uint32_t stream, std::uint32_t timestamp = 0);

}  // namespace junctor::rtmp
