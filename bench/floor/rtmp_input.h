// SPDX-License-Identifier: LGPL-2.1-or-later
// The least that takes an RTMP publisher's media off a socket.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace junctor::bench {

/// One publisher's connection: simple handshake, chunks, and just the commands that a publisher
/// waits for. It trusts its peer: it is a yardstick, not a server.
class RtmpInput {
 public:
  struct Events {
    std::function<void(std::span<const std::uint8_t>)> send;
    std::function<void(const std::string &name)> publish;
    /// FLV tag bodies; the time is in milliseconds.
    std::function<void(std::uint32_t time, std::span<const std::uint8_t> body)> audio, video;
  };

  explicit RtmpInput(Events events) : events_(std::move(events)) {}

  /// Takes what one read gave.
  void push(std::span<const std::uint8_t> bytes);

 private:
  struct ChunkStream {
    std::uint32_t time = 0, delta = 0, length = 0;
    std::uint8_t type = 0;
    bool extended = false;
    std::vector<std::uint8_t> body;
  };

  std::size_t take_handshake(std::span<const std::uint8_t> bytes);
  std::size_t take_chunk(std::span<const std::uint8_t> bytes);
  void message(const ChunkStream &stream);
  void command(std::span<const std::uint8_t> body);
  void reply(std::uint32_t stream, const std::string &body);

  Events events_;
  std::vector<std::uint8_t> rest_;  // an unfinished handshake or chunk
  std::map<std::uint32_t, ChunkStream> streams_;
  std::size_t chunk_size_ = 128;
  int handshake_ = 0;  // 0: waits for C0 and C1, 1: for C2, 2: done
};

}  // namespace junctor::bench
