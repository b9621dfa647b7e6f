// SPDX-License-Identifier: LGPL-2.1-or-later
// Between caps and the table of formats.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <optional>
#include <vector>

#include "common/gst/refs.h"
#include "rtp/core/formats.h"
#include "rtp/core/packetizer.h"
#include "sip/core/agent.h"

namespace junctor::sipcall {

/// What can come out of one medium: RTP of each format of the table, or the frames of those that we
/// take out of their packets.
CapsRef caps_of(Medium medium);
/// What may be sent of one medium: RTP of each format, or the frames of those that we pack.
CapsRef sent_caps_of(Medium medium);
/// Of one format alone.
CapsRef sent_caps_of(const rtp::Format &format);
/// Of what was agreed: a variable format has its clock rate.
CapsRef sent_caps_of(const sip::Media &media);
/// What a peer sends: with payload type and what depayloaders want to know of its fmtp.
CapsRef caps_of(const sip::Media &media);
/// Of the frames in that, of a format that has a depacketizer of ours: with the configuration that
/// decoders begin with, which of H264 the peer may tell in its packets only.
CapsRef frame_caps_of(const sip::Media &media);
/// Whether that is still to come.
bool lacks_config(const GstCaps *caps);
/// The same with this configuration (UnpackedFrame::config).
CapsRef with_config(const GstCaps *caps, const SharedBytes &config);
/// Of H264: what the peer's description has of them (RFC 6184 section 8.1).
std::vector<Bytes> parameter_sets_of(const sip::Media &media);

/// The formats that `caps` allow, in the caps' order, each once; those offered by default if they
/// allow anything.
std::vector<const rtp::Format *> formats_in(const GstCaps *caps, Medium medium);

/// What to offer for `format` to somebody who will be sent what fixed caps name: with their AAC
/// configuration, if they have one; `caps` may be null.
sip::Offered offered(const rtp::Format &format, const GstCaps *caps);

/// The H264 profile that fixed caps, of packets or of frames, name; nothing if they don't.
std::optional<rtp::H264Profile> h264_profile_in(const GstCaps *caps);

/// What packs frames of these fixed caps; null for packets, which need none. BadInput for H264
/// whose codec_data is missing or broken.
Result<std::unique_ptr<rtp::Packetizer>> packetizer_for(const GstCaps *caps);

}  // namespace junctor::sipcall
