// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/publication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace std::chrono_literals;
using namespace junctor::test;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

using Words = std::vector<std::string>;

class Ear final : public PublishListener {
 public:
  void on_publisher() override { heard.push_back("begin"); }
  void on_track(const Track &track) override {
    heard.push_back("track " + std::string(to_string(track.codec)));
    tracks.push_back(track);
  }
  void on_left_out(Medium medium, const std::string &why) override {
    heard.push_back("left out " + std::string(to_string(medium)));
    reasons.push_back(why);
  }
  void on_frame(const rtmp::Frame &frame) override {
    heard.push_back(std::string(to_string(frame.medium)) + (frame.key ? " key " : " ") +
                    std::to_string(frame.dts));
    const auto call = on_each;  // the call may replace it
    if (call) call();
  }
  void on_publisher_gone(bool finished) override { heard.push_back(finished ? "end" : "lost"); }
  Words take() { return std::exchange(heard, {}); }

  Words heard;
  std::vector<Track> tracks;
  Words reasons;
  std::function<void()> on_each;
};

class PublicationTest : public testing::Test {
 protected:
  void give(MessageType type, std::uint32_t timestamp, const Bytes &body) {
    Message message;
    message.type = type;
    message.stream = 1;
    message.timestamp = timestamp;
    message.payload = SharedBytes::copy(body);
    const auto taken = publication.take(message, now);
    EXPECT_TRUE(taken) << taken.error().detail;
  }
  void give_tracks() {
    give(MessageType::Video, 0, config_body(h264_track()));
    give(MessageType::Audio, 0, config_body(aac_track()));
  }
  void give_picture(Picture kind, std::uint32_t at, std::size_t size = 20) {
    give(MessageType::Video, at, test::tag_of(h264_track(), picture(kind, at, size)));
  }
  void give_sound(std::uint32_t at) {
    give(MessageType::Audio, at, test::tag_of(aac_track(), sound(at)));
  }

  Time now{5s};
  Limits limits;
  Publication publication{limits};
  std::shared_ptr<Ear> ear = std::make_shared<Ear>();
};

}  // namespace

TEST_F(PublicationTest, ListenersHearOnePublisherAfterAnother) {
  publication.add(ear);
  EXPECT_THAT(ear->take(), IsEmpty());
  publication.begin();
  give_tracks();
  give_picture(Picture::Key, 40);
  give_sound(45);
  publication.end(false);
  publication.begin();
  publication.end(true);
  EXPECT_THAT(ear->take(), ElementsAre("begin", "track h264", "track aac", "video key 40",
                                       "audio 45", "lost", "begin", "end"));
}

TEST_F(PublicationTest, ALateListenerHearsFromTheKeyframeOn) {
  publication.begin();
  give_tracks();
  give_picture(Picture::Key, 0);
  give_picture(Picture::Inter, 40);
  give_picture(Picture::Key, 80);
  give_sound(90);
  give_picture(Picture::Droppable, 120);
  publication.add(ear);
  EXPECT_THAT(ear->take(), ElementsAre("begin", "track h264", "track aac", "video key 80",
                                       "audio 90", "video 120"));
  publication.add(ear);  // once is enough, but it may be told again
  ear->take();
  give_sound(130);
  EXPECT_THAT(ear->take(), ElementsAre("audio 130"));
  EXPECT_EQ(publication.stats().frames, 6U);
  EXPECT_EQ(publication.stats().last_frame, now);
  EXPECT_TRUE(publication.stats().present);
}

TEST_F(PublicationTest, ListenersHearOnceWhatIsLeftOut) {
  const auto give_mp3 = [this] {
    Message message;
    message.type = MessageType::Audio;
    message.payload = SharedBytes::copy(as_bytes("\x2f\xff\xfb"));
    const auto taken = publication.take(message, now);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().fault, Fault::Refused);
  };
  publication.add(ear);
  publication.begin();
  give_mp3();
  give_mp3();
  EXPECT_THAT(ear->take(), ElementsAre("begin", "left out audio"));
  EXPECT_THAT(ear->reasons, ElementsAre(testing::HasSubstr("codec, MP3, is not supported")));
  const auto late = std::make_shared<Ear>();
  publication.add(late);
  EXPECT_THAT(late->take(), ElementsAre("begin", "left out audio"));
  // A track takes it back, and what is odd later is no news of the medium.
  give(MessageType::Audio, 0, config_body(aac_track()));
  give_mp3();
  EXPECT_THAT(ear->take(), ElementsAre("track aac"));
  publication.end(true);
  publication.begin();
  give_mp3();
  EXPECT_THAT(ear->take(), ElementsAre("end", "begin", "left out audio"));
}

TEST_F(PublicationTest, SizesComeFromMetadata) {
  publication.add(ear);
  publication.begin();
  Data metadata;
  metadata.name = "onMetaData";
  metadata.set_data_frame = true;
  metadata.values.push_back(AmfEcmaArray{{"width", 640}, {"height", 360}});
  Message message = make_data(metadata, 1);
  ASSERT_TRUE(publication.take(message, now));
  give_tracks();
  EXPECT_EQ(ear->tracks.at(0).width, 640);
  EXPECT_EQ(ear->tracks.at(0).height, 360);
  EXPECT_EQ(ear->tracks.at(1).rate, 44100);
}

TEST_F(PublicationTest, WhatIsKeptIsBounded) {
  limits.kept_frames = 4;
  limits.kept_bytes = 1000;
  const auto frames_kept = [&](int pictures, std::size_t size) {
    Publication bounded(limits);
    bounded.begin();
    for (int i = -1; i < pictures; ++i) {
      Message message;
      message.type = MessageType::Video;
      message.payload = SharedBytes::own(
          i < 0 ? config_body(h264_track())
                : test::tag_of(h264_track(),
                               picture(i == 0 ? Picture::Key : Picture::Inter, i, size)));
      EXPECT_TRUE(bounded.take(message, now));
    }
    const auto late = std::make_shared<Ear>();
    bounded.add(late);
    return late->take().size() - 2;
  };
  EXPECT_EQ(frames_kept(4, 20), 4U);
  EXPECT_EQ(frames_kept(5, 20), 0U);
  EXPECT_EQ(frames_kept(3, 300), 3U);
  EXPECT_EQ(frames_kept(4, 300), 0U);
}

TEST_F(PublicationTest, NothingIsKeptAcrossAChangeOfTheConfiguration) {
  publication.begin();
  give_tracks();
  give_picture(Picture::Key, 0);
  Track changed = h264_track();
  Bytes config(changed.config.view.begin(), changed.config.view.end());
  config.back() = std::byte{0x21};
  changed.config = SharedBytes::own(std::move(config));
  give(MessageType::Video, 40, config_body(changed));
  publication.add(ear);
  EXPECT_THAT(ear->take(), ElementsAre("begin", "track h264", "track aac"));
}

TEST_F(PublicationTest, TimestampsDoNotWrap) {
  publication.add(ear);
  publication.begin();
  give(MessageType::Audio, 0xffffff00, config_body(aac_track()));
  give_sound(0xfffffff0);
  give_sound(0x10);
  EXPECT_THAT(ear->take(), testing::IsSupersetOf({"audio 4294967280", "audio 4294967312"}));
}

TEST_F(PublicationTest, ListenersAreHeldWeakly) {
  publication.add(ear);
  EXPECT_TRUE(publication.heard());
  ear.reset();
  EXPECT_FALSE(publication.heard());
  publication.begin();
  give_tracks();
}

TEST_F(PublicationTest, ListenersMayComeAndGoWhileTheyAreTold) {
  const auto second = std::make_shared<Ear>();
  const auto third = std::make_shared<Ear>();
  publication.add(ear);
  publication.add(second);
  publication.begin();
  give_tracks();
  ear->on_each = [&] {
    ear->on_each = nullptr;
    publication.remove(second.get());
    publication.remove(ear.get());
    publication.add(third);
  };
  second->take();
  give_picture(Picture::Key, 40);
  EXPECT_THAT(second->take(), IsEmpty());
  EXPECT_THAT(third->take(), ElementsAre("begin", "track h264", "track aac", "video key 40"));
  ear->take();
  give_picture(Picture::Inter, 80);
  EXPECT_THAT(ear->take(), IsEmpty());
  EXPECT_THAT(third->take(), ElementsAre("video 80"));
}

TEST_F(PublicationTest, AListenerMayEndThePublisher) {
  publication.add(ear);
  publication.begin();
  give_tracks();
  give_picture(Picture::Key, 0);
  give_picture(Picture::Inter, 40);
  ear->take();
  const auto late = std::make_shared<Ear>();
  late->on_each = [&] { publication.end(true); };
  publication.add(late);
  EXPECT_THAT(late->take(), ElementsAre("begin", "track h264", "track aac", "video key 0", "end"));
  EXPECT_THAT(ear->take(), ElementsAre("end"));
  give_picture(Picture::Inter, 80);
  EXPECT_THAT(late->take(), IsEmpty());
}

TEST_F(PublicationTest, BrokenAndUnknownMessagesAreErrorsAndNoMore) {
  publication.add(ear);
  publication.begin();
  give_tracks();
  Message broken;
  broken.type = MessageType::Video;
  broken.payload = test::shared("17 01 0000");
  const auto cut = publication.take(broken, now);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().fault, Fault::BadInput);
  broken.type = MessageType::Audio;
  broken.payload = test::shared("2f ffff");  // MP3
  const auto unknown = publication.take(broken, now);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().fault, Fault::Refused);
  broken.payload = {};
  EXPECT_TRUE(publication.take(broken, now));
  broken.type = MessageType::DataAmf0;
  const auto no_data = publication.take(broken, now);
  ASSERT_FALSE(no_data);
  EXPECT_EQ(no_data.error().fault, Fault::Refused);
  give_sound(10);
  EXPECT_EQ(ear->take().back(), "audio 10");
}

TEST_F(PublicationTest, ATrackThatChangesWithoutEndIsToldNoMore) {
  publication.add(ear);
  publication.begin();
  // G.711 of one channel and of two, in turn: each is another track.
  Message sound;
  sound.type = MessageType::Audio;
  const auto flip = [&](int i) {
    sound.payload = test::shared(i % 2 == 0 ? "7e ff" : "7f ff");
    return publication.take(sound, now);
  };
  for (int i = 0; i < 32; ++i) {
    const auto taken = flip(i);
    ASSERT_TRUE(taken) << i << ": " << taken.error().detail;
  }
  EXPECT_EQ(ear->tracks.size(), 32U);
  // One a second goes on for ever.
  for (int i = 0; i < 100; ++i) {
    now += 1s;
    ASSERT_TRUE(flip(i)) << i;
  }
  EXPECT_FALSE(publication.unruly());
  const auto frames = publication.stats().frames;
  const auto refused = flip(100);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("changes too often"));
  EXPECT_TRUE(publication.unruly());
  EXPECT_TRUE(flip(101)) << "nobody is told anything more";
  EXPECT_EQ(publication.stats().frames, frames);
  EXPECT_EQ(ear->tracks.size(), 132U);
  // Nor does beginning anew give more of them.
  publication.begin();
  EXPECT_FALSE(publication.unruly());
  EXPECT_FALSE(flip(0));
}

TEST_F(PublicationTest, WhatIsKeptHoldsItsOwnBytesAlone) {
  // One large block with a small picture in it, as an aggregate has many.
  const auto block = [] {
    Bytes bytes(1 << 20);
    const Bytes tag = test::tag_of(h264_track(), picture(Picture::Key, 0));
    std::copy(tag.begin(), tag.end(), bytes.end() - static_cast<std::ptrdiff_t>(tag.size()));
    SharedBytes shared = SharedBytes::own(std::move(bytes));
    shared.view = shared.view.last(tag.size());
    return shared;
  }();
  publication.begin();
  give_tracks();
  Message message;
  message.type = MessageType::Video;
  message.payload = block;
  ASSERT_TRUE(publication.take(message, now));
  message.payload = {};
  EXPECT_EQ(block.owner.use_count(), 1);
  publication.add(ear);
  EXPECT_THAT(ear->take(), ElementsAre("begin", "track h264", "track aac", "video key 0"));
}

TEST_F(PublicationTest, AFrameThatFillsItsMessageIsNotCopied) {
  publication.begin();
  give_tracks();
  Message message;
  message.type = MessageType::Video;
  message.payload = SharedBytes::own(test::tag_of(h264_track(), picture(Picture::Key, 0, 9000)));
  ASSERT_TRUE(publication.take(message, now));
  EXPECT_EQ(message.payload.owner.use_count(), 2);
}
