// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/speex.h"

#include <gtest/gtest.h>

#include "../rtmp/wire.h"

namespace junctor {
namespace {

using test::hex;
using test::wire;

TEST(Speex, BeginsAsItsEncoderWouldBegin) {
  // Of speexenc (Speex 1.2.1) at 16 kHz, mono, one frame a packet.
  EXPECT_EQ(hex(speex_header(16000, 1)),
            "5370656578202020312e322e3100000000000000000000000000000001000000"
            "50000000803e0000010000000400000001000000ffffffff4001000000000000"
            "01000000000000000000000000000000");
  const Bytes narrow = speex_header(8000, 2);
  ASSERT_EQ(narrow.size(), 80u);
  EXPECT_EQ(hex(ByteSpan(narrow).subspan(36, 16)), "401f0000000000000400000002000000");
  EXPECT_EQ(hex(ByteSpan(narrow).subspan(56, 4)), "a0000000");
  EXPECT_EQ(hex(speex_comment()), hex(wire("07000000 'Junctor' 00000000 01")));
}

}  // namespace
}  // namespace junctor
