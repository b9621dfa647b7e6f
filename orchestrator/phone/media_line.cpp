// SPDX-License-Identifier: LGPL-2.1-or-later
#include "phone/media_line.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "common/gst/refs.h"
#include "nat/core/rung_list.h"

namespace junctor::phone {

namespace {

constexpr std::string_view kTest = "test";

/// "PATTERN" of "test:PATTERN"; nothing where it is no test source.
std::optional<std::string> test_of(const std::string &source) {
  if (source == kTest) return "";
  if (source.starts_with("test:")) return source.substr(5);
  return std::nullopt;
}

bool is_word(const std::string &text) {
  return !text.empty() && text.size() <= 32 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<void> check_file(const char *option, const std::string &path) {
  std::error_code failure;
  if (std::filesystem::is_regular_file(path, failure)) return {};
  if (std::filesystem::exists(path, failure))
    return bad_input(std::string(option) + ": '" + path + "' is no regular file");
  return bad_input(std::string(option) + ": there is no file '" + path + "'");
}

Result<std::string> picture_source(const MediaOptions &options) {
  if (const auto pattern = test_of(options.video)) {
    if (!pattern->empty() && !is_word(*pattern))
      return bad_input("--video: '" + *pattern +
                       "' is no pattern; gst-inspect-1.0 videotestsrc lists them");
    return "videotestsrc is-live=true pattern=" + (pattern->empty() ? "ball" : *pattern);
  }
  if (options.video.starts_with("/dev/video")) return std::string("v4l2src name=picture-file");
  if (auto there = check_file("--video", options.video); !there) return there.error();
  return std::string("filesrc name=picture-file ! decodebin name=picture-reader ! clocksync");
}

Result<std::string> sound_source(const MediaOptions &options) {
  if (const auto text = test_of(options.audio)) {
    unsigned hertz = 440;
    const char *last = text->data() + text->size();
    const auto [end, failure] = std::from_chars(text->data(), last, hertz);
    if (!text->empty() && (failure != std::errc() || end != last || hertz < 20 || hertz > 20000))
      return bad_input("--audio: '" + *text + "' is no frequency from 20 to 20000");
    return "audiotestsrc is-live=true samplesperbuffer=480 volume=0.5 freq=" +
           std::to_string(hertz);
  }
  if (options.audio == "mic") return std::string("autoaudiosrc name=sound-file");
  if (auto there = check_file("--audio", options.audio); !there) return there.error();
  return std::string("filesrc name=sound-file ! decodebin name=sound-reader ! clocksync");
}

std::string picture_coder(const MediaOptions &options) {
  const std::string rate = std::to_string(options.bitrate);
  if (options.codec == "vp8")
    return "vp8enc deadline=1 cpu-used=8 error-resilient=default keyframe-max-dist=300 "
           "target-bitrate=" +
           rate + "000 ! rtpvp8pay picture-id-mode=15-bit";
  // Whoever joins or has lost something asks for a keyframe, so they need not come by themselves.
  return "x264enc tune=zerolatency speed-preset=veryfast key-int-max=300 bitrate=" + rate +
         " ! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 "
         "aggregate-mode=zero-latency";
}

/// A thirtieth of a second where it says nothing.
GstPadProbeReturn give_duration(GstPad *, GstPadProbeInfo *info, gpointer) {
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
  if (GST_BUFFER_DURATION_IS_VALID(buffer)) return GST_PAD_PROBE_OK;
  buffer = gst_buffer_make_writable(buffer);
  GST_BUFFER_DURATION(buffer) = GST_SECOND / 30;
  GST_PAD_PROBE_INFO_DATA(info) = buffer;
  return GST_PAD_PROBE_OK;
}

}  // namespace

void give_durations(GstElement *pipeline) {
  const ElementRef rate(gst_bin_get_by_name(GST_BIN(pipeline), "picture-rate"));
  if (!rate) return;
  const PadRef pad(gst_element_get_static_pad(rate.get(), "sink"));
  gst_pad_add_probe(pad.get(), GST_PAD_PROBE_TYPE_BUFFER, give_duration, nullptr, nullptr);
}

nat::SessionMedia sent_by(const MediaOptions &options) {
  nat::SessionMedia media;
  const auto add = [&](unsigned type, unsigned again, Medium medium, std::uint32_t clock_rate,
                       const char *encoding) {
    media.payloads.push_back({static_cast<std::uint8_t>(type), medium, clock_rate, encoding});
    media.payloads.push_back({static_cast<std::uint8_t>(again), medium, clock_rate, "RTX"});
  };
  if (options.video != "off")
    add(kPictureType, kPictureAgainType, Medium::Video, 90000,
        options.codec == "vp8" ? "VP8" : "H264");
  if (options.audio != "off") add(kSoundType, kSoundAgainType, Medium::Audio, 48000, "OPUS");
  return media;
}

std::string caps_of(unsigned payload_type, const std::string &codec) {
  if (payload_type == kSoundType)
    return "application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=97";
  if (payload_type == kSoundAgainType)
    return "application/x-rtp,media=audio,clock-rate=48000,encoding-name=RTX,payload=99,apt=97";
  if (payload_type == kPictureAgainType)
    return "application/x-rtp,media=video,clock-rate=90000,encoding-name=RTX,payload=98,apt=96";
  if (payload_type != kPictureType) return "";
  return "application/x-rtp,media=video,clock-rate=90000,encoding-name=" +
         std::string(codec == "vp8" ? "VP8" : "H264") +
         ",payload=96,rtcp-fb-nack=true,rtcp-fb-nack-pli=true,rtcp-fb-ccm-fir=true";
}

Result<std::string> media_line(const MediaOptions &options) {
  if (options.codec != "h264" && options.codec != "vp8")
    return bad_input("--codec: '" + options.codec + "' is not h264 or vp8");
  if (const auto rungs = nat::parse_rungs(options.rungs); !rungs)
    return bad_input("--rungs: " + rungs.error().detail);
  const bool picture = options.video != "off", sound = options.audio != "off";
  // Each stream of the peer's costs a thread; it names its SSRCs itself.
  std::string line =
      "stunpunch name=channel rtpbin name=rtp rtp-profile=avpf latency=80 do-retransmission=true "
      "max-streams=16 ";
  if (picture) {
    auto source = picture_source(options);
    if (!source) return source;
    line += *source +
            " ! queue leaky=downstream max-size-buffers=3 max-size-bytes=0 max-size-time=0 "
            "! videoconvert ! videoscale add-borders=true ! videorate name=picture-rate "
            "drop-only=true max-rate=30 "
            "! video/x-raw,format=I420,width=640,height=360 ! " +
            picture_coder(options) + " pt=96 mtu=1200 ! funnel.sink_0 ";
  }
  if (sound) {
    auto source = sound_source(options);
    if (!source) return source;
    line += *source +
            " ! queue ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=1 "
            "! opusenc frame-size=20 ! rtpopuspay pt=97 ! funnel.sink_1 ";
  }
  if (picture || sound)
    line +=
        "rtpfunnel name=funnel ! rtprtxsend name=again max-size-packets=200 "
        "! rtp.send_rtp_sink_0 "
        "rtp.send_rtp_src_0 ! fakesink name=rtp-out sync=false async=false ";
  line +=
      "rtp.send_rtcp_src_0 ! fakesink name=rtcp-out sync=false async=false "
      "channel.rtcp_src ! rtp.recv_rtcp_sink_0 ";
  return line;
}

// No sink waits for its first buffer (async=false): it would take the whole pipeline back to PAUSED
// until then, and whatever is added meanwhile would stay there for as long.

std::string picture_sink_line(const std::string &codec) {
  return std::string("queue ! ") +
         (codec == "vp8"
              ? "rtpvp8depay name=depay request-keyframe=true ! vp8dec name=decoder"
              : "rtph264depay name=depay request-keyframe=true ! h264parse "
                "! video/x-h264,stream-format=avc,alignment=au ! avdec_h264 name=decoder") +
         " ! videoconvert ! video/x-raw,format=RGB "
         "! appsink name=pictures sync=false async=false max-buffers=1 drop=true "
         "emit-signals=false";
}

std::string sound_sink_line(bool saved) {
  return std::string("queue ! rtpopusdepay ! opusdec plc=true ! audioconvert ! audioresample ! ") +
         (saved ? "audio/x-raw,format=S16LE,rate=48000,channels=1 ! wavenc "
                  "! filesink name=sound sync=false async=false"
                : "fakesink name=sound sync=false async=false");
}

}  // namespace junctor::phone
