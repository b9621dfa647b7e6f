// SPDX-License-Identifier: LGPL-2.1-or-later
// Packets as a session gives them, and what comes out of them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/bytes.h"
#include "rtp/core/depacketizer.h"

namespace junctor::rtp {

/// A packet of `payload` behind a header of 12 bytes, padding after it.
inline IncomingPacket packet_of(const std::string &payload, std::uint64_t timestamp = 0,
                                bool marker = true) {
  IncomingPacket packet;
  Bytes bytes(12);
  ByteWriter(bytes).text(payload).text(std::string(3, '\3'));
  packet.packet = SharedBytes::own(std::move(bytes));
  packet.payload_size = payload.size();
  packet.extended_timestamp = timestamp;
  packet.marker = marker;
  return packet;
}

inline std::string text_of(const SharedBytes &bytes) {
  return {reinterpret_cast<const char *>(bytes.view.data()), bytes.view.size()};
}

/// A depacketizer, and what the last packet gave.
template <class Kind>
struct Unpacking {
  /// What it says of a packet that cannot be read; empty for one that can.
  std::string add(const IncomingPacket &packet) {
    frames_.clear();
    const auto read = depacketizer_.add(packet, frames_);
    return read ? "" : read.error().detail;
  }
  std::string add(const std::string &payload, std::uint64_t timestamp, bool marker = true,
                  bool lost_before = false, bool new_source = false) {
    IncomingPacket packet = packet_of(payload, timestamp, marker);
    packet.discontinuity = lost_before;
    packet.new_source = new_source;
    return add(packet);
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const UnpackedFrame &frame : frames_) all.push_back(text_of(frame.data));
    return all;
  }

  Kind depacketizer_;
  std::vector<UnpackedFrame> frames_;
};

}  // namespace junctor::rtp
