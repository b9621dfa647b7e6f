// SPDX-License-Identifier: LGPL-2.1-or-later
// What passes through is not changed: packed and taken out again, the bytes are the encoder's.
#include <gst/gst.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "calls/codec_table.h"
#include "common/bytes.h"
#include "rtp/core/depacketizer.h"
#include "rtp/core/packet.h"

namespace junctor::calls {
namespace {

struct Frames {
  std::vector<Bytes> all;
};

GstPadProbeReturn record(GstPad *, GstPadProbeInfo *info, gpointer data) {
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
  // What Speex streams begin with in Ogg is no frame.
  if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_HEADER)) return GST_PAD_PROBE_OK;
  Bytes bytes(gst_buffer_get_size(buffer));
  gst_buffer_extract(buffer, 0, bytes.data(), bytes.size());
  static_cast<Frames *>(data)->all.push_back(std::move(bytes));
  return GST_PAD_PROBE_OK;
}

/// An encoder of the codec as RTMP has it, with what makes its input.
std::string source_of(Codec codec) {
  switch (codec) {
    case Codec::Aac:
      return "audiotestsrc wave=pink-noise num-buffers=40 samplesperbuffer=1024 ! "
             "audio/x-raw,rate=44100,channels=1 ! voaacenc ! aacparse";
    case Codec::Speex:
      return "audiotestsrc wave=pink-noise num-buffers=40 samplesperbuffer=320 ! "
             "audio/x-raw,rate=16000,channels=1 ! speexenc";
    case Codec::Vp8:
      return "videotestsrc num-buffers=20 ! video/x-raw,width=640,height=360,framerate=25/1 ! "
             "vp8enc deadline=1 target-bitrate=1000000";
    case Codec::H263:
      return "videotestsrc num-buffers=20 ! video/x-raw,width=352,height=288,framerate=25/1 ! "
             "avenc_h263 bitrate=600000";
    default:
      return "";
  }
}

/// rtph263pdepay fills pictures up with zeros, as H.263 allows (5.1.27, PSTUF): a few of them.
void drop_stuffing(Bytes &picture, std::size_t size) {
  for (int i = 0; i < 8 && picture.size() > size && picture.back() == std::byte{0}; ++i)
    picture.pop_back();
}

/// The frames in the packets of a format that sipcallsink takes apart itself.
std::vector<Bytes> taken_out(const std::vector<Bytes> &packets, const FormatRow &row) {
  const auto format = std::ranges::find_if(
      rtp::formats(), [&](const rtp::Format &each) { return find_format_row(each) == &row; });
  const auto depacketizer = rtp::make_depacketizer(*format);
  std::vector<rtp::UnpackedFrame> frames;
  for (const Bytes &bytes : packets) {
    rtp::IncomingPacket packet;
    packet.packet = SharedBytes::copy(bytes);
    const auto view = rtp::parse_packet(bytes);
    packet.header_size = view->header_size;
    packet.payload_size = view->payload.size();
    packet.marker = view->header.marker;
    packet.extended_timestamp = view->header.timestamp;
    const auto read = depacketizer->add(packet, frames);
    EXPECT_TRUE(read) << read.error().detail;
  }
  std::vector<Bytes> all;
  for (const rtp::UnpackedFrame &frame : frames)
    all.emplace_back(frame.data.view.begin(), frame.data.view.end());
  return all;
}

class PassedThrough : public testing::TestWithParam<const FormatRow *> {};

TEST_P(PassedThrough, IsTheSameToTheLastBit) {
  gst_init(nullptr, nullptr);
  const FormatRow &row = *GetParam();
  const std::string line = source_of(row.codec) + " ! identity name=before ! " +
                           std::string(row.pay) +
                           " ! application/x-rtp,encoding-name=" + std::string(row.encoding_name) +
                           " ! " + (row.depay.empty() ? "" : std::string(row.depay) + " ! ") +
                           "identity name=after ! fakesink sync=false";
  GError *error = nullptr;
  GstElement *pipeline = gst_parse_launch(line.c_str(), &error);
  ASSERT_EQ(error, nullptr) << line << ": " << error->message;
  Frames before, after;
  for (const auto &[name, frames] : {std::pair("before", &before), std::pair("after", &after)}) {
    GstElement *element = gst_bin_get_by_name(GST_BIN(pipeline), name);
    GstPad *pad = gst_element_get_static_pad(element, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, record, frames, nullptr);
    gst_object_unref(pad);
    gst_object_unref(element);
  }
  gst_element_set_state(pipeline, GST_STATE_PLAYING);
  GstBus *bus = gst_element_get_bus(pipeline);
  GstMessage *ended = gst_bus_timed_pop_filtered(
      bus, 30 * GST_SECOND, GstMessageType(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
  ASSERT_NE(ended, nullptr) << line;
  EXPECT_EQ(GST_MESSAGE_TYPE(ended), GST_MESSAGE_EOS) << line;
  gst_message_unref(ended);
  gst_element_set_state(pipeline, GST_STATE_NULL);
  gst_object_unref(bus);
  gst_object_unref(pipeline);

  EXPECT_GE(before.all.size(), 20u);
  if (row.depay.empty()) after.all = taken_out(after.all, row);
  ASSERT_EQ(after.all.size(), before.all.size()) << line;
  // rtpmp4adepay leaves the length in front of the very first frame.
  for (std::size_t i = row.encoding_name == "MP4A-LATM" ? 1 : 0; i < before.all.size(); ++i) {
    if (row.depay == "rtph263pdepay") drop_stuffing(after.all[i], before.all[i].size());
    EXPECT_TRUE(after.all[i] == before.all[i])
        << "frame " << i << ": " << before.all[i].size() << " bytes became " << after.all[i].size();
  }
}

/// Those that payloaders carry; sipcallsink packs the others, and tests it itself.
std::vector<const FormatRow *> with_payloaders() {
  std::vector<const FormatRow *> rows;
  for (const FormatRow &row : format_rows())
    if (!row.pay.empty() && is_as_in_rtmp(row)) rows.push_back(&row);
  return rows;
}

INSTANTIATE_TEST_SUITE_P(All, PassedThrough, testing::ValuesIn(with_payloaders()),
                         [](const auto &info) {
                           std::string name(info.param->encoding_name);
                           for (char &c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace junctor::calls
