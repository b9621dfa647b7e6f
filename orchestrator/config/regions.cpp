// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/regions.h"

#include <algorithm>

#include "config/name.h"
#include "nat/core/nearest_region.h"
#include "nat/core/stun_host.h"

namespace junctor::config {

namespace {

Result<StunRegion> read_one(const toml::table &table) {
  StunRegion region;
  for (const auto &[key, node] : table) {
    std::string *field = key == "name" ? &region.name : key == "stun" ? &region.stun : nullptr;
    if (!field)
      return bad_input("unknown key '" + std::string(key.str()) +
                       "'; a region has `name` and `stun`");
    if (!node.is_string())
      return bad_input(std::string(key.str()) + ": must be a text in \"quotes\"");
    *field = *node.value<std::string>();
  }
  if (!is_name(region.name))
    return bad_input("a region has a `name` of 1 to 32 letters, digits, '-', '_' and '.'");
  const auto host = nat::StunHost::parse(region.stun);
  if (!host) return bad_input("region '" + region.name + "': stun: " + host.error().detail);
  region.stun = host->to_string();
  return region;
}

}  // namespace

Result<void> read_regions(const toml::node &node, std::vector<StunRegion> &regions) {
  const Error wrong = bad_input("write each region as a table of its own, under [[regions]]");
  const auto *array = node.as_array();
  if (!array) return wrong;
  regions.clear();
  for (const auto &item : *array) {
    if (!item.is_table()) return wrong;
    auto region = read_one(*item.as_table());
    if (!region) return region.error();
    if (std::ranges::find(regions, region->name, &StunRegion::name) != regions.end())
      return bad_input("two regions have the name '" + region->name + "'");
    if (regions.size() == nat::NearestRegion::kMostRegions)
      return bad_input("there are more than " + std::to_string(nat::NearestRegion::kMostRegions) +
                       " regions; clients measure all of them");
    regions.push_back(*std::move(region));
  }
  return {};
}

}  // namespace junctor::config
