// SPDX-License-Identifier: LGPL-2.1-or-later
// Session descriptions of real phones and of the standards.
#pragma once

#include <string_view>

namespace junctor::sip::test {

/// baresip 1.0.0, audio and video.
inline constexpr std::string_view kBaresip =
    "v=0\r\no=- 3941672850 1203477530 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\n"
    "t=0 0\r\na=tool:baresip 1.0.0\r\nm=audio 26748 RTP/AVP 96 8 0 101\r\n"
    "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 stereo=1;sprop-stereo=1\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-15\r\na=rtcp:26749\r\na=sendrecv\r\na=label:1\r\na=ssrc:3117105937 cname:x\r\n"
    "a=ptime:20\r\nm=video 28450 RTP/AVP 97 98\r\nb=AS:512\r\na=rtpmap:97 H264/90000\r\n"
    "a=fmtp:97 packetization-mode=0;profile-level-id=42801f\r\na=rtpmap:98 VP8/90000\r\n"
    "a=fmtp:98 max-fs=3600\r\na=rtcp:28451\r\na=sendrecv\r\na=rtcp-fb:* nack\r\n"
    "a=rtcp-fb:* nack pli\r\na=label:2\r\n";

/// linphonec 5.
inline constexpr std::string_view kLinphone =
    "v=0\r\no=toto 3456 1203 IN IP4 192.0.2.9\r\ns=Talk\r\nc=IN IP4 192.0.2.9\r\nb=AS:380\r\n"
    "t=0 0\r\na=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n"
    "m=audio 7078 RTP/AVP 96 97 98 0 8 101 99\r\na=rtpmap:96 opus/48000/2\r\n"
    "a=fmtp:96 useinbandfec=1\r\na=rtpmap:97 speex/16000\r\na=fmtp:97 vbr=on\r\n"
    "a=rtpmap:98 speex/8000\r\na=fmtp:98 vbr=on\r\na=rtpmap:101 telephone-event/48000\r\n"
    "a=rtpmap:99 telephone-event/16000\r\na=rtcp-fb:* trr-int 5000\r\n"
    "a=rtcp-fb:* ccm tmmbr\r\nm=video 9078 RTP/AVP 96 97\r\na=rtpmap:96 VP8/90000\r\n"
    "a=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=42801F\r\na=rtcp-fb:* trr-int 5000\r\n"
    "a=rtcp-fb:* ccm tmmbr\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:97 nack pli\r\n"
    "a=rtcp-fb:97 ccm fir\r\n";

/// RFC 4317 section 2.1, Alice's offer.
inline constexpr std::string_view kRfc4317Offer =
    "v=0\r\no=alice 2890844526 2890844526 IN IP4 host.atlanta.example.com\r\ns=\r\n"
    "c=IN IP4 host.atlanta.example.com\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0 8 97\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:97 iLBC/8000\r\n"
    "m=video 51372 RTP/AVP 31 32\r\na=rtpmap:31 H261/90000\r\na=rtpmap:32 MPV/90000\r\n";

/// The default answer of SIPp's built-in "uas" scenario: no map for its static number.
inline constexpr std::string_view kSipp =
    "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

}  // namespace junctor::sip::test
