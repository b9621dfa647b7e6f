// SPDX-License-Identifier: LGPL-2.1-or-later
// Layers, the loudest, and rates, by what is in clear in a packet's header.
#include <map>

#include "router_fixture.h"
#include "sfu/core/bandwidth_estimator.h"
#include "sfu/core/congestion_feedback.h"
#include "sfu/core/header_extensions.h"
#include "sfu/core/layer_selector.h"
#include "sfu/core/loudness.h"

namespace junctor::sfu::test {
namespace {

using namespace rtp::rtcp;

constexpr ExtensionNumbers kNumbers{.transport_cc = 1,
                                    .audio_level = 2,
                                    .mid = 3,
                                    .rid = 4,
                                    .frame_marking = 5,
                                    .dependency_descriptor = 6};

/// Elements of RFC 8285 section 4.2, padded.
Bytes one_byte(std::initializer_list<std::pair<unsigned, Bytes>> elements) {
  Bytes made;
  for (const auto &[number, value] : elements) {
    made.push_back(static_cast<std::byte>(number << 4 | (value.size() - 1)));
    made.insert(made.end(), value.begin(), value.end());
  }
  while (made.size() % 4) made.push_back(std::byte{0});
  return made;
}
Bytes text(std::string_view value) {
  const ByteSpan bytes = as_bytes(value);
  return {bytes.begin(), bytes.end()};
}
Bytes octets(std::initializer_list<int> values) {
  Bytes made;
  for (const int each : values) made.push_back(static_cast<std::byte>(each));
  return made;
}

TEST(HeaderExtensions, OneByteElementsAreRead) {
  const Bytes extension = one_byte(
      {{1, octets({0x12, 0x34})}, {2, octets({0x80 | 37})}, {3, text("v")}, {4, text("hi")}});
  const auto values = read_extensions(0xBEDE, extension, kNumbers);
  EXPECT_EQ(values.transport_number, 0x1234);
  EXPECT_EQ(values.audio_level, 37);
  EXPECT_EQ(Bytes(values.mid.begin(), values.mid.end()), text("v"));
  EXPECT_EQ(Bytes(values.rid.begin(), values.rid.end()), text("hi"));
  EXPECT_FALSE(values.key_frame);
  EXPECT_FALSE(read_extensions(0xBEDE, extension, {}).transport_number);
  EXPECT_FALSE(read_extensions(0x1234, extension, kNumbers).transport_number);
}

TEST(HeaderExtensions, TwoByteElementsAreRead) {
  const auto values = read_extensions(0x1000, octets({9, 0, 0, 1, 2, 0x12, 0x34, 0}), kNumbers);
  EXPECT_EQ(values.transport_number, 0x1234);
}

TEST(HeaderExtensions, KeyFramesShow) {
  const auto key = [](std::initializer_list<std::pair<unsigned, Bytes>> elements) {
    return read_extensions(0xBEDE, one_byte(elements), kNumbers).key_frame;
  };
  EXPECT_TRUE(key({{5, octets({0xA0, 0, 0})}}));   // S and I
  EXPECT_FALSE(key({{5, octets({0x20, 0, 0})}}));  // I, not its first packet
  EXPECT_FALSE(key({{5, octets({0x80, 0, 0})}}));
  EXPECT_TRUE(key({{6, octets({0x80, 0, 1, 0x80, 0})}}));  // with a structure
  EXPECT_FALSE(key({{6, octets({0x80, 0, 1})}}));
  EXPECT_FALSE(key({{6, octets({0x00, 0, 1, 0x80})}}));
}

TEST(HeaderExtensions, WhatContradictsItselfIsLeftOut) {
  EXPECT_FALSE(read_extensions(0xBEDE, octets({0x1f, 1, 2, 3}), kNumbers).transport_number);
  EXPECT_FALSE(read_extensions(0xBEDE, octets({0xf1, 0x11, 1, 2}), kNumbers).transport_number);
  EXPECT_FALSE(read_extensions(0x1000, octets({1}), kNumbers).transport_number);
}

TEST(LayerSelector, ChangesOnKeyFramesOnly) {
  LayerSelector selector;
  const std::vector<LayerRate> layers{{150e3, true}, {500e3, true}, {1.5e6, true}};
  Time now{std::chrono::seconds(100)};
  EXPECT_TRUE(selector.choose(layers, {}, now));
  EXPECT_EQ(selector.wanted(), 2U);
  EXPECT_FALSE(selector.pass(2, false));
  EXPECT_FALSE(selector.pass(1, true));
  EXPECT_TRUE(selector.pass(2, true));
  EXPECT_TRUE(selector.pass(2, false));
  // Too much for the path: the next lower one, at its next key frame; meanwhile what was.
  EXPECT_TRUE(selector.choose(layers, 600e3, now));
  EXPECT_EQ(selector.wanted(), 1U);
  EXPECT_TRUE(selector.pass(2, false));
  EXPECT_FALSE(selector.pass(1, false));
  EXPECT_TRUE(selector.pass(1, true));
  EXPECT_FALSE(selector.pass(2, true));
  EXPECT_FALSE(selector.choose(layers, 600e3, now));
  // Up again only later, and only with room to spare.
  EXPECT_FALSE(selector.choose(layers, 3e6, now + 1s));
  EXPECT_FALSE(selector.choose(layers, 1.6e6, now + 3s));
  EXPECT_TRUE(selector.choose(layers, 3e6, now + 3s));
  // None fits: the least. What is silent is none.
  EXPECT_TRUE(selector.choose(layers, 10e3, now + 3s));
  EXPECT_EQ(selector.wanted(), 0U);
  const std::vector<LayerRate> without{{150e3, false}, {500e3, true}, {1.5e6, true}};
  EXPECT_FALSE(selector.choose(without, 10e3, now + 3s));
  EXPECT_EQ(selector.wanted(), 1U);
}

TEST(Loudness, TheLoudestAreChosenAndStayForAWhile) {
  std::vector<Speaker> speakers{{40, false}, {60, false}, {20, false}};
  choose_loudest(speakers, 1);
  EXPECT_TRUE(speakers[1].chosen);
  EXPECT_FALSE(speakers[0].chosen);
  speakers[0].loudness = 64;
  choose_loudest(speakers, 1);
  EXPECT_TRUE(speakers[1].chosen);
  speakers[0].loudness = 70;
  choose_loudest(speakers, 1);
  EXPECT_TRUE(speakers[0].chosen);
  choose_loudest(speakers, 5);
  EXPECT_TRUE(speakers[2].chosen);

  Loudness loudness;
  Time now{std::chrono::seconds(100)};
  loudness.add(10, now);  // a click
  EXPECT_LT(loudness.value(now), 15);
  for (int i = 0; i < 50; ++i) loudness.add(30, now += 20ms);
  EXPECT_GT(loudness.value(now), 80);
  EXPECT_EQ(loudness.value(now + 2s), 0);
}

class RouterChoiceTest : public RouterTest {
 protected:
  LegId publisher(const std::string &address) {
    LegOptions options;
    options.extensions = kNumbers;
    options.payloads = {{111, Medium::Audio, 48000}};
    options.remb = true;
    return leg(address, options);
  }
  void picture(const std::string &from, std::uint32_t ssrc, std::string_view rid, bool key,
               std::size_t size = 1000, std::string_view mid = "v") {
    const Bytes extension = one_byte({{1, octets({number_ >> 8, number_ & 255})},
                                      {3, text(mid)},
                                      {4, text(rid)},
                                      {5, octets({key ? 0xA0 : 0x00, 0, 0})}});
    ++number_;
    send(from, rtp::build_packet({96, false, sequences_[ssrc]++, 0, ssrc}, filled(size, 1),
                                 {{}, 0xBEDE, extension, 0}));
  }
  void sound(const std::string &from, std::uint32_t ssrc, int level) {
    const Bytes extension = one_byte({{2, octets({level})}});
    send(from, rtp::build_packet({111, false, sequences_[ssrc]++, 0, ssrc}, filled(80, 1),
                                 {{}, 0xBEDE, extension, 0}));
  }
  void pass(Duration time) {
    now += time;
    while (router.next() && *router.next() <= now) {
      const auto before = *router.next();
      router.run(now);
      if (router.next() && *router.next() <= before) break;
    }
  }
  /// RTP, by SSRC.
  std::map<std::uint32_t, int> heard(const std::string &at) {
    std::map<std::uint32_t, int> counts;
    for (const Bytes &each : take(at))
      if (!rtp::looks_like_rtcp(each)) ++counts[rtp::parse_packet(each)->header.ssrc];
    return counts;
  }
  int number_ = 0, picture_ = 0;

 private:
  std::map<std::uint32_t, std::uint16_t> sequences_;
};

TEST_F(RouterChoiceTest, AReceiverGetsTheLayerThatItsPathCarries) {
  const LegId alice = publisher(kAlice), bob = leg(kBob), carol = leg(kCarol);
  ASSERT_TRUE(router.route(alice, bob));
  ASSERT_TRUE(router.route(alice, carol));
  Bytes remb;
  append(remb, Remb{3, 300'000, {}});
  const auto second = [&](bool key) {
    for (int i = 0; i < 50; ++i, pass(20ms)) {
      picture(kAlice, 10, "low", key && i == 25, 300);          // 150 kbit/s
      picture(kAlice, 20, "high", key && i == 25, 2000 - 600);  // 570 kbit/s
      if (i == 0) send(kCarol, remb);
    }
  };
  second(true);
  second(false);
  take(kBob);
  take(kCarol);
  const auto plis = items_of<Pli>(take(kAlice));
  EXPECT_FALSE(plis.empty());  // for the layers that were wanted
  second(true);
  clear();
  second(false);
  const auto at_bob = heard(kBob), at_carol = heard(kCarol);
  EXPECT_EQ(at_bob, (std::map<std::uint32_t, int>{{20, 50}}));
  EXPECT_EQ(at_carol, (std::map<std::uint32_t, int>{{10, 50}}));
  EXPECT_EQ(router.stats(carol)->estimate, 300'000);
}

TEST_F(RouterChoiceTest, APathIsSharedByThoseWhosePicturesPass) {
  const LegId alice = publisher(kAlice), bob = publisher(kBob);
  LegOptions options;
  options.last_n = 1;
  const LegId carol = leg(kCarol), loudest = leg(kEve, options);
  for (const LegId to : {carol, loudest}) {
    ASSERT_TRUE(router.route(alice, to));
    ASSERT_TRUE(router.route(bob, to));
  }
  Bytes remb;
  append(remb, Remb{3, 700'000, {}});
  const auto second = [&] {
    for (int i = 0; i < 50; ++i, pass(20ms)) {
      for (const auto &[from, first] : {std::pair(kAlice, 10U), std::pair(kBob, 20U)}) {
        picture(from, first, "low", i % 25 == 10, 300);        // 150 kbit/s
        picture(from, first + 1, "high", i % 25 == 10, 1400);  // 570 kbit/s
      }
      sound(kAlice, 12, 20);
      if (i == 0) send(kCarol, remb);
      if (i == 0) send(kEve, remb);
    }
  };
  const auto seconds = [&] {
    for (int i = 0; i < 5; ++i) second();
    clear();
    second();
  };
  seconds();
  EXPECT_EQ(heard(kCarol), (std::map<std::uint32_t, int>{{10, 50}, {12, 50}, {20, 50}}));
  EXPECT_EQ(heard(kEve), (std::map<std::uint32_t, int>{{11, 50}, {12, 50}}));
  router.unroute(bob, carol);
  seconds();
  EXPECT_EQ(heard(kCarol), (std::map<std::uint32_t, int>{{11, 50}, {12, 50}}));
}

TEST_F(RouterChoiceTest, AnEncoderThatBeginsAgainSendsTheSameLayers) {
  const LegId alice = publisher(kAlice), bob = leg(kBob), carol = leg(kCarol);
  ASSERT_TRUE(router.route(alice, bob));
  ASSERT_TRUE(router.route(alice, carol));
  Bytes remb;
  append(remb, Remb{3, 60'000, {}});
  const auto second = [&](std::uint32_t first) {
    for (int i = 0; i < 50; ++i, pass(20ms)) {
      picture(kAlice, first, "low", i % 25 == 10, 100);
      picture(kAlice, first + 1, "middle", i % 25 == 10, 300);
      picture(kAlice, first + 2, "high", i % 25 == 10, 1000);
      if (i == 0) send(kCarol, remb);
    }
  };
  for (const std::uint32_t first : {10, 20, 30}) {
    for (int i = 0; i < 3; ++i) second(first);
    take(kAlice);
    second(first);
    EXPECT_TRUE(items_of<Pli>(take(kAlice)).empty());
    clear();
    second(first);
    EXPECT_EQ(heard(kBob), (std::map<std::uint32_t, int>{{first + 2, 50}}));
    EXPECT_EQ(heard(kCarol), (std::map<std::uint32_t, int>{{first, 50}}));
  }
}

TEST_F(RouterChoiceTest, WhoNamesALayerThatLivesTakesNobodysPlace) {
  const LegId alice = publisher(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  const auto second = [&](bool both) {
    for (int i = 0; i < 50; ++i, pass(20ms)) {
      picture(kAlice, 10, "high", i == 25);
      if (both) picture(kAlice, 66, "high", true);
    }
  };
  second(false);
  second(true);
  clear();
  second(true);
  EXPECT_EQ(heard(kBob), (std::map<std::uint32_t, int>{{10, 50}}));
  // Once it is alone, it is the layer; and the other one again when it comes back alone.
  for (const std::uint32_t ssrc : {66, 10}) {
    for (int i = 0; i < 100; ++i, pass(20ms)) picture(kAlice, ssrc, "high", i == 99);
    clear();
    for (int i = 0; i < 50; ++i, pass(20ms)) picture(kAlice, ssrc, "high", false);
    EXPECT_EQ(heard(kBob), (std::map<std::uint32_t, int>{{ssrc, 50}}));
  }
}

TEST_F(RouterChoiceTest, OfEachPictureOneLayerPassesHoweverManyThereAre) {
  const LegId alice = publisher(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  const auto second = [&](std::uint32_t first) {
    for (int i = 0; i < 50; ++i, pass(20ms)) {
      for (std::uint32_t layer = 0; layer < 8; ++layer)
        picture(kAlice, first + layer, std::to_string(layer), i % 25 == 10, 100 + 50 * layer);
      for (std::uint32_t each = 0; each < 12; ++each)
        picture(kAlice, first + 10 + each, each % 2 ? "high" : "low", i % 25 == 10,
                100 + 200 * (each % 2), std::to_string(first + each / 2));
    }
  };
  // What was silent for five seconds makes room for others, and so do its MIDs.
  for (const std::uint32_t first : {100, 200, 300}) {
    for (int i = 0; i < 4; ++i) second(first);
    clear();
    second(first);
    const auto at_bob = heard(kBob);
    std::map<std::uint32_t, int> expected{{first + 7, 50}};
    for (std::uint32_t each = 1; each < 12; each += 2) expected[first + 10 + each] = 50;
    EXPECT_EQ(at_bob, expected);
    pass(6s);
  }
}

TEST_F(RouterChoiceTest, WhatWasNotPassedOnIsNoLoss) {
  const LegId alice = publisher(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  for (int i = 0; i < 100; ++i, pass(10ms)) {
    picture(kAlice, 10, "low", i % 50 == 10, 300);
    picture(kAlice, 20, "high", i % 50 == 10, 1000);
  }
  take(kBob);
  const int first = number_;
  TransportFeedback feedback{2, 20, static_cast<std::uint16_t>(first), 0, {}};
  Quarters at = 0;
  for (int i = 0; i < 100; ++i, pass(10ms)) {
    picture(kAlice, 10, "low", false, 300);
    picture(kAlice, 20, "high", false, 1000);
    feedback.arrivals.emplace_back();  // of the layer that was not passed
    feedback.arrivals.emplace_back(at += 40);
  }
  EXPECT_EQ(heard(kBob), (std::map<std::uint32_t, int>{{20, 100}}));
  Bytes compound;
  append(compound, feedback);
  send(kBob, compound);
  EXPECT_GE(*router.stats(bob)->estimate, BandwidthEstimator::kStart);
}

TEST_F(RouterChoiceTest, TheGapOfAPictureThatWasWithheldIsNoLoss) {
  const LegId alice = publisher(kAlice), bob = publisher(kBob);
  LegOptions options;
  options.last_n = 1;
  const LegId carol = leg(kCarol, options);
  ASSERT_TRUE(router.route(alice, carol));
  ASSERT_TRUE(router.route(bob, carol));
  std::uint16_t number = 0;
  const auto talk = [&](int alice_level, int bob_level) {
    sound(kAlice, 11, alice_level);
    sound(kBob, 21, bob_level);
    send(kBob, rtp_packet(22, ++number));
    pass(20ms);
  };
  for (int i = 0; i < 100; ++i) talk(20, 100);
  send_rtcp(kCarol, ReceiverReport{3, {ReportBlock{22, 32, 1, 10, 0, 0, 0}}});
  EXPECT_DOUBLE_EQ(router.stats(carol)->remote_fraction_lost, 0.125);
  clear();
  for (int i = 0; i < 200 && heard(kCarol)[22] == 0; ++i) talk(110, 20);
  const std::uint16_t first = number;  // that she got again
  ASSERT_GT(first, 100);
  ASSERT_LT(first, 300);
  talk(110, 20);
  clear();
  send_rtcp(kCarol,
            Nack{3,
                 22,
                 {static_cast<std::uint16_t>(first - 2), static_cast<std::uint16_t>(first - 1),
                  first, static_cast<std::uint16_t>(first - 150)}});
  EXPECT_EQ(take(kCarol), only(rtp_packet(22, first)));
  EXPECT_TRUE(items_of<Nack>(take(kBob)).empty());
  // One that was on its way yet, the one that has the gap, and those after it.
  const auto report = [&](int fraction, int highest) {
    send_rtcp(kCarol, ReceiverReport{3,
                                     {ReportBlock{22, static_cast<std::uint8_t>(fraction), 1,
                                                  static_cast<std::uint32_t>(highest), 0, 0, 0}}});
    return router.stats(carol)->remote_fraction_lost;
  };
  const auto estimate = router.stats(carol)->estimate;
  EXPECT_DOUBLE_EQ(report(64, first - 1), 0.125);
  EXPECT_DOUBLE_EQ(report(200, first + 1), 0.125);
  EXPECT_EQ(router.stats(carol)->estimate, estimate);
  EXPECT_DOUBLE_EQ(report(64, first + 1), 0.25);
}

TEST_F(RouterChoiceTest, TheGapOfALayerThatComesBackIsNoLoss) {
  const LegId alice = publisher(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  // Until he gets a packet of that source: its number.
  const auto until = [&](std::uint32_t ssrc) -> std::optional<std::uint16_t> {
    for (int i = 0; i < 500; ++i, pass(20ms)) {
      picture(kAlice, 10, "low", i % 25 == 24, 300);
      picture(kAlice, 20, "high", i % 25 == 24, 1400);
      for (const Bytes &each : take(kBob))
        if (!rtp::looks_like_rtcp(each))
          if (const auto header = rtp::parse_packet(each)->header; header.ssrc == ssrc)
            return header.sequence;
    }
    return std::nullopt;
  };
  const auto limit = [&](std::uint64_t rate) {
    Bytes remb;
    append(remb, Remb{3, rate, {}});
    send(kBob, remb);
  };
  ASSERT_TRUE(until(20));
  limit(300'000);
  ASSERT_TRUE(until(10));
  limit(30'000'000);
  const auto first = until(20);
  ASSERT_TRUE(first);
  send_rtcp(kBob, Nack{3, 20, {static_cast<std::uint16_t>(*first - 1), *first}});
  const auto again = take(kBob);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(rtp::parse_packet(again[0])->header.sequence, *first);
}

TEST_F(RouterChoiceTest, APublisherHearsWhenItsPacketsCame) {
  const LegId alice = publisher(kAlice), bob = leg(kBob);
  ASSERT_TRUE(router.route(alice, bob));
  picture(kAlice, 10, "low", true);
  ++number_;  // lost
  pass(10ms);
  picture(kAlice, 10, "low", false);
  pass(100ms);
  std::vector<TransportFeedback> told;
  for (const Bytes &each : take(kAlice))
    for (const auto &item : read_congestion(each))
      if (const auto *feedback = std::get_if<TransportFeedback>(&item)) told.push_back(*feedback);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].media, 10U);
  EXPECT_EQ(told[0].base, 0);
  ASSERT_EQ(told[0].arrivals.size(), 3U);
  EXPECT_FALSE(told[0].arrivals[1]);
  EXPECT_EQ(*told[0].arrivals[2] - *told[0].arrivals[0], 40);
  // Nothing came: nothing is told.
  pass(500ms);
  for (const Bytes &each : take(kAlice)) EXPECT_TRUE(read_congestion(each).empty());
}

TEST_F(RouterChoiceTest, APublisherHearsWhatItsSlowestReceiverTakes) {
  const LegId alice = publisher(kAlice), bob = leg(kBob), carol = leg(kCarol);
  ASSERT_TRUE(router.route(alice, bob));
  ASSERT_TRUE(router.route(alice, carol));
  send(kAlice, rtp_packet(1, 1));
  for (const auto &[from, rate] : {std::pair(kBob, 900'000), std::pair(kCarol, 400'000)}) {
    Bytes remb;
    append(remb, Remb{3, static_cast<std::uint64_t>(rate), {}});
    send(from, remb);
  }
  pass(1s);
  std::vector<Remb> told;
  for (const Bytes &each : take(kAlice))
    for (const auto &item : read_congestion(each))
      if (const auto *remb = std::get_if<Remb>(&item)) told.push_back(*remb);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NEAR(static_cast<double>(told[0].bits_per_second), 400e3, 10);
  EXPECT_EQ(told[0].ssrcs, std::vector<std::uint32_t>{1});
}

TEST_F(RouterChoiceTest, PicturesOfTheLoudestOnly) {
  const LegId alice = publisher(kAlice), bob = publisher(kBob);
  LegOptions options;
  options.last_n = 1;
  const LegId carol = leg(kCarol, options);
  ASSERT_TRUE(router.route(alice, carol));
  ASSERT_TRUE(router.route(bob, carol));
  const auto talk = [&](int alice_level, int bob_level) {
    for (int i = 0; i < 100; ++i, pass(20ms)) {
      sound(kAlice, 11, alice_level);
      sound(kBob, 21, bob_level);
      send(kAlice, rtp_packet(12, static_cast<std::uint16_t>(picture_++)));
      send(kBob, rtp_packet(22, static_cast<std::uint16_t>(picture_)));
    }
  };
  talk(20, 100);
  clear();
  talk(20, 100);
  auto at_carol = heard(kCarol);
  EXPECT_EQ(at_carol[11], 100);
  EXPECT_EQ(at_carol[21], 100);
  EXPECT_EQ(at_carol[12], 100);
  EXPECT_EQ(at_carol[22], 0);
  EXPECT_EQ(router.stats(carol)->pictures, 1U);
  take(kBob);
  talk(110, 20);
  EXPECT_FALSE(items_of<Pli>(take(kBob)).empty());  // his picture is to begin
  clear();
  talk(110, 20);
  at_carol = heard(kCarol);
  EXPECT_EQ(at_carol[12], 0);
  EXPECT_EQ(at_carol[22], 100);
}

}  // namespace
}  // namespace junctor::sfu::test
