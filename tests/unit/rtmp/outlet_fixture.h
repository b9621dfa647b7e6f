// SPDX-License-Identifier: LGPL-2.1-or-later
// An outlet's ring, and players of it whose sockets take as much as they are told to.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peer.h"
#include "rtmp/core/outlet.h"

namespace junctor::test {

using namespace rtmp;
using namespace std::chrono_literals;

using Words = std::vector<std::string>;

/// A player whose socket takes as many bytes as it is told to.
class Fake {
 public:
  Fake(const std::shared_ptr<OutletRing> &ring, Time now, std::uint32_t stream = 1,
       TagStyle style = TagStyle::Legacy)
      : player(ring, stream, now, style) {
    // What a session says first: from here on chunks are large.
    Bytes bytes;
    write_chunks(set_chunk_size(kServerChunkSize), kDefaultChunkSize, bytes);
    read(bytes);
    messages.clear();
  }

  /// Sends what there is, at most `room` bytes and `piece` of them at a time.
  void flush(Time now, std::size_t room = SIZE_MAX, std::size_t piece = SIZE_MAX) {
    while (room > 0) {
      batch.clear();
      player.gather(batch, now);
      if (batch.bytes() == 0) return;
      Bytes all;
      for (std::size_t i = 0; i < batch.piece_count(); ++i) {
        const auto *data = static_cast<const std::byte *>(batch.pieces()[i].iov_base);
        all.insert(all.end(), data, data + batch.pieces()[i].iov_len);
      }
      ASSERT_EQ(all.size(), batch.bytes());
      const std::size_t count = std::min({room, piece, all.size()});
      EXPECT_EQ(player.advance(batch, count, now), 0U);
      room -= count;
      read(ByteSpan(all).first(count));
    }
  }
  /// What has arrived whole since the last call.
  Words take() {
    Words list;
    for (const Message &message : std::exchange(messages, {})) list.push_back(test::words(message));
    return list;
  }

  Player player;
  std::vector<Message> messages;
  Batch batch;

 private:
  void read(ByteSpan bytes) {
    const auto result = reader.push(bytes, [this](Message &&message) {
      messages.push_back(std::move(message));
      return ChunkReader::Flow::Continue;
    });
    ASSERT_TRUE(result) << result.error().detail;
  }
  ChunkReader reader;
};

class OutletTest : public testing::Test {
 protected:
  void both_tracks() {
    ring->begin_source();
    ring->set_track(h264_track());
    ring->set_track(aac_track());
  }
  /// Pictures each 40 ms, a keyframe each `period`, beginning with one; every other is droppable.
  void pictures(int count, int period = 1000000) {
    for (int i = 0; i < count; ++i) {
      ring->write(picture(i % period == 0 ? Picture::Key
                          : i % 2 == 1    ? Picture::Droppable
                                          : Picture::Inter,
                          dts, 1000),
                  now);
      step();
    }
  }
  void step(int ms = 40) {
    dts += ms;
    now += std::chrono::milliseconds(ms);
  }

  std::shared_ptr<OutletRing> ring = std::make_shared<OutletRing>(OutletLimits{});
  Time now{1000s};
  std::int64_t dts = 777000;
};

}  // namespace junctor::test
