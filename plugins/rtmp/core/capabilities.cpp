// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/capabilities.h"

#include <algorithm>
#include <string_view>

namespace junctor::rtmp {

namespace {

constexpr const char *kList = "fourCcList";
constexpr const char *kVideoMap = "videoFourCcInfoMap", *kAudioMap = "audioFourCcInfoMap";
constexpr std::string_view kAvc1 = "avc1";

/// FourCcInfoMask.
constexpr unsigned kCanDecode = 1, kCanEncode = 2, kCanForward = 4;
constexpr unsigned kAll = kCanDecode | kCanEncode | kCanForward;

bool decodes(const AmfValue &map, std::string_view code) {
  const AmfMembers *members = map.members();
  const double mask = members ? members->number(code) : 0;
  return mask >= 1 && mask < 256 && (static_cast<unsigned>(mask) & kCanDecode) != 0;
}

}  // namespace

Capabilities read_capabilities(const AmfMembers &object) {
  Capabilities capabilities;
  bool avc1 = false;
  if (const AmfValue *list = object.find(kList)) {
    capabilities.enhanced = true;
    if (const auto *codes = std::get_if<AmfStrictArray>(&list->content))
      avc1 = std::ranges::any_of(codes->items, [](const AmfValue &code) {
        return code.string() && *code.string() == kAvc1;
      });
  }
  if (const AmfValue *map = object.find(kVideoMap)) {
    capabilities.enhanced = true;
    avc1 = avc1 || decodes(*map, kAvc1);
  }
  if (avc1) capabilities.h264 = TagStyle::Enhanced;
  return capabilities;
}

void add_capabilities(AmfObject &information) {
  information.set(kList, AmfStrictArray({"avc1", "vp08", "mp4a"}))
      .set(kVideoMap, AmfObject{{"avc1", kAll}, {"vp08", kAll}})
      .set(kAudioMap, AmfObject{{"mp4a", kAll}});
}

}  // namespace junctor::rtmp
