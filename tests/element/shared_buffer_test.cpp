// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/gst/shared_buffer.h"

#include <gtest/gtest.h>

#include <string>

#include "environment.h"

namespace junctor {
namespace {

SharedBytes hello() {
  const SharedBytes whole = SharedBytes::copy(as_bytes("say hello"));
  return whole.from(4);
}

std::string text(ByteSpan bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::string content(GstBuffer *buffer) {
  GstMapInfo map;
  EXPECT_TRUE(gst_buffer_map(buffer, &map, GST_MAP_READ));
  const std::string found(reinterpret_cast<char *>(map.data), map.size);
  gst_buffer_unmap(buffer, &map);
  return found;
}

TEST(SharedBuffer, HoldsTheBytesWithoutACopy) {
  SharedBytes bytes = hello();
  const std::weak_ptr<const Bytes> owner = bytes.owner;
  const std::byte *const at = bytes.view.data();
  GstBuffer *buffer = wrap(bytes);
  bytes = {};
  EXPECT_EQ(content(buffer), "hello");
  const auto again = unwrap(buffer);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->view.data(), at);
  gst_buffer_unref(buffer);
  EXPECT_FALSE(owner.expired());  // `again` has it
}

TEST(SharedBuffer, LetsGoWithItsLastPart) {
  const std::weak_ptr<const Bytes> owner = [] {
    const SharedBytes bytes = hello();
    GstBuffer *buffer = wrap(bytes);
    GstBuffer *part = gst_buffer_copy_region(buffer, GST_BUFFER_COPY_MEMORY, 1, 3);
    GstBuffer *smaller = gst_buffer_copy_region(part, GST_BUFFER_COPY_MEMORY, 1, 2);
    gst_buffer_unref(buffer);
    EXPECT_EQ(content(part), "ell");
    EXPECT_EQ(text(unwrap(part)->view), "ell");
    gst_buffer_unref(part);
    EXPECT_EQ(content(smaller), "ll");
    EXPECT_EQ(text(unwrap(smaller)->view), "ll");
    std::weak_ptr<const Bytes> held = bytes.owner;
    gst_buffer_unref(smaller);
    return held;
  }();
  EXPECT_TRUE(owner.expired());
}

TEST(SharedBuffer, IsNotWritten) {
  GstBuffer *buffer = wrap(hello());
  GstBuffer *writable = gst_buffer_make_writable(gst_buffer_ref(buffer));
  GstMapInfo map;
  ASSERT_TRUE(gst_buffer_map(writable, &map, GST_MAP_WRITE));  // on a copy
  map.data[0] = 'J';
  gst_buffer_unmap(writable, &map);
  EXPECT_EQ(content(writable), "Jello");
  EXPECT_EQ(content(buffer), "hello");
  gst_buffer_unref(writable);
  gst_buffer_unref(buffer);
}

TEST(SharedBuffer, OthersHoldNoneOfOurs) {
  GstBuffer *buffer = gst_buffer_new_memdup("hello", 5);
  EXPECT_FALSE(unwrap(buffer));
  GstBuffer *both = gst_buffer_append(wrap(hello()), buffer);
  EXPECT_FALSE(unwrap(both));
  EXPECT_EQ(content(both), "hellohello");
  gst_buffer_unref(both);
}

}  // namespace
}  // namespace junctor
