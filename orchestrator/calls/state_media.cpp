// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/state_media.h"

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "calls/codec_table.h"
#include "common/clock.h"
#include "common/gst/refs.h"

namespace junctor::calls {

namespace {

namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::seconds(10);
constexpr std::string_view kPicture =
    "filesrc name=in ! decodebin ! videoconvert ! videoscale ! "
    "video/x-raw,format=BGRA,width=640,height=360,pixel-aspect-ratio=1/1 ! "
    "appsink name=out sync=false";
constexpr std::string_view kSound =
    "filesrc name=in ! decodebin ! audioconvert ! audioresample ! "
    "audio/x-raw,format=S16LE,channels=1,layout=interleaved,rate=";

template <class T>
struct Name {
  std::string_view text;
  T value;
};
constexpr std::array kPictures{
    Name<Card>{"calling", Card::Calling},
    Name<Card>{"ringing", Card::Ringing},
    Name<Card>{"incoming", Card::Incoming},
    Name<Card>{"connected", Card::Connected},
    Name<Card>{"audio-only", Card::AudioOnly},
    Name<Card>{"on-hold", Card::OnHold},
    Name<Card>{"busy", Card::Busy},
    Name<Card>{"declined", Card::Declined},
    Name<Card>{"no-answer", Card::NoAnswer},
    Name<Card>{"unreachable", Card::Unreachable},
    Name<Card>{"failed", Card::Failed},
    Name<Card>{"missed", Card::Missed},
};
constexpr std::array kTones{
    Name<Tone>{"ringback", Tone::Ringback},
    Name<Tone>{"ring", Tone::Ring},
    Name<Tone>{"busy", Tone::Busy},
    Name<Tone>{"congestion", Tone::Congestion},
    Name<Tone>{"special-information", Tone::SpecialInformation},
    Name<Tone>{"on-hold", Tone::Hold},
};

template <class Table>
std::vector<std::string_view> texts_of(const Table &table) {
  std::vector<std::string_view> texts;
  texts.reserve(table.size());
  for (const auto &row : table) texts.push_back(row.text);
  return texts;
}

/// Decodes a file with a line that has `in` and `out`; at most `most` bytes of it.
Result<Bytes> decode(const std::string &path, const std::string &line, std::size_t most) {
  GError *error = nullptr;
  const ElementRef pipeline(
      gst_parse_launch_full(line.c_str(), nullptr, GST_PARSE_FLAG_FATAL_ERRORS, &error));
  std::string problem = error ? error->message : "";
  g_clear_error(&error);
  if (!pipeline) return internal_error(problem);
  const ElementRef in(gst_bin_get_by_name(GST_BIN(pipeline.get()), "in"));
  const ElementRef out(gst_bin_get_by_name(GST_BIN(pipeline.get()), "out"));
  g_object_set(in.get(), "location", path.c_str(), nullptr);
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const BusRef bus(gst_element_get_bus(pipeline.get()));
  const Time deadline = Clock::now() + kPatience;
  Bytes decoded;
  bool complete = false;
  while (problem.empty() && !complete) {
    if (Clock::now() > deadline) problem = "it is not decoded within ten seconds";
    if (const SampleRef sample(
            gst_app_sink_try_pull_sample(GST_APP_SINK(out.get()), GST_SECOND / 20));
        sample) {
      GstBuffer *buffer = gst_sample_get_buffer(sample.get());
      const std::size_t before = decoded.size();
      decoded.resize(before + gst_buffer_get_size(buffer));
      gst_buffer_extract(buffer, 0, decoded.data() + before, decoded.size() - before);
      complete = decoded.size() >= most;
    } else {
      complete = gst_app_sink_is_eos(GST_APP_SINK(out.get()));
    }
    if (const MessageRef message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR)); message) {
      gst_message_parse_error(message.get(), &error, nullptr);
      problem = error->message;
      g_clear_error(&error);
    }
  }
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  if (!problem.empty()) return bad_input(problem);
  return decoded;
}

using Problems = std::vector<std::string>;

/// The files of a directory by the state that each is named after.
template <class T, class Table>
std::map<T, std::string> files_of(const std::string &directory, const Table &table,
                                  std::string_view key, Problems &problems) {
  std::map<T, std::string> files;
  if (directory.empty()) return files;
  std::error_code wrong;
  fs::directory_iterator entries(directory, wrong);
  if (wrong) {
    problems.push_back(std::string(key) + ": the directory " + directory +
                       " cannot be read: " + wrong.message());
    return files;
  }
  for (const fs::directory_entry &entry : entries) {
    const std::string file = entry.path().filename(), stem = entry.path().stem();
    if (file.starts_with('.')) continue;
    const auto found = std::ranges::find(table, stem, &Name<T>::text);
    if (found == table.end()) {
      std::string known;
      for (const auto &row : table) known += (known.empty() ? "" : ", ") + std::string(row.text);
      problems.push_back(entry.path().string() + ": no state is called '" + stem +
                         "'; name the file after one of " + known);
    } else if (!entry.is_regular_file(wrong) || entry.file_size(wrong) > kLargestStateFile ||
               wrong) {
      problems.push_back(entry.path().string() + ": must be a file of 16 MiB at most");
    } else if (!files.emplace(found->value, entry.path()).second) {
      problems.push_back(entry.path().string() + ": there is another file for '" + stem +
                         "'; remove one");
    }
  }
  return files;
}

Result<Bytes> load_picture(const std::string &path) {
  constexpr std::size_t kSize = std::size_t{kCardWidth} * kCardHeight * 4;
  auto decoded = decode(path, std::string(kPicture), kSize);
  if (!decoded || decoded->size() < kSize)
    return bad_input(path + ": is no picture that can be shown" +
                     (decoded ? "" : ": " + decoded.error().detail));
  decoded->resize(kSize);
  return decoded;
}

void load_pictures(const std::string &directory, StateMedia &media, Problems &problems) {
  for (const auto &[card, path] :
       files_of<Card>(directory, kPictures, "media.pictures", problems)) {
    auto loaded = load_picture(path);
    if (loaded)
      media.pictures[card] = *std::move(loaded);
    else
      problems.push_back(loaded.error().detail);
  }
}

Result<std::vector<std::int16_t>> load_tone(const std::string &path, int rate) {
  const std::size_t most = std::size_t{2} * kLongestStateSound * static_cast<std::size_t>(rate);
  auto decoded =
      decode(path, std::string(kSound) + std::to_string(rate) + " ! appsink name=out sync=false",
             most + 2);
  if (!decoded || decoded->size() < 2)
    return bad_input(path + ": is no sound that can be heard" +
                     (decoded ? "" : ": " + decoded.error().detail));
  if (decoded->size() > most)
    return bad_input(path + ": is longer than " + std::to_string(kLongestStateSound) +
                     " s; cut it, it is repeated");
  std::vector<std::int16_t> samples(decoded->size() / 2);
  std::memcpy(samples.data(), decoded->data(), samples.size() * 2);
  return samples;
}

void load_tones(const std::string &directory, StateMedia &media, Problems &problems) {
  std::set<int> rates;
  for (const CodecRow &row : codec_rows())
    if (row.samples != 0) rates.insert(row.rate);
  for (const auto &[tone, path] : files_of<Tone>(directory, kTones, "media.tones", problems))
    for (const int rate : rates) {
      auto loaded = load_tone(path, rate);
      if (!loaded) {
        problems.push_back(loaded.error().detail);
        break;
      }
      media.tones[tone][rate] = *std::move(loaded);
    }
}

/// Of what is wrong; whatever is right is in `media`.
Problems load(const std::string &country, const std::string &pictures, const std::string &tones,
              StateMedia &media) {
  Problems problems;
  media.country = find_tone_row(country);
  if (!media.country) problems.push_back("media.country: there are no tones of '" + country + "'");
  load_pictures(pictures, media, problems);
  load_tones(tones, media, problems);
  return problems;
}

}  // namespace

std::vector<std::string_view> picture_names() { return texts_of(kPictures); }
std::vector<std::string_view> tone_names() { return texts_of(kTones); }

Result<StateMedia> load_state_media(const std::string &country, const std::string &pictures,
                                    const std::string &tones) {
  StateMedia media;
  std::string all;
  for (const std::string &problem : load(country, pictures, tones, media))
    all += (all.empty() ? "" : "; ") + problem;
  if (!all.empty()) return bad_input(all);
  return media;
}

std::vector<std::string> state_media_problems(const std::string &country,
                                              const std::string &pictures,
                                              const std::string &tones) {
  StateMedia ignored;
  return load(country, pictures, tones, ignored);
}

}  // namespace junctor::calls
