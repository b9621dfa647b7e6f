// SPDX-License-Identifier: LGPL-2.1-or-later
#include "floor/rtmp_input.h"

#include <algorithm>
#include <cstring>

namespace junctor::bench {

namespace {

constexpr std::size_t kHandshake = 1536;

std::uint32_t read24(const std::uint8_t *at) { return at[0] << 16 | at[1] << 8 | at[2]; }
std::uint32_t read32(const std::uint8_t *at) { return std::uint32_t{at[0]} << 24 | read24(at + 1); }

std::string amf_text(const std::string &text) {
  std::string out = {'\x02', static_cast<char>(text.size() >> 8), static_cast<char>(text.size())};
  return out + text;
}

std::string amf_number(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  std::string out(1, '\0');
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(bits >> shift);
  return out;
}

std::string amf_status(const std::string &code) {
  const auto member = [](const std::string &name, const std::string &value) {
    const auto text = amf_text(name);
    return text.substr(1) + amf_text(value);
  };
  return "\x03" + member("level", "status") + member("code", code) + member("description", "ok") +
         std::string("\0\0\x09", 3);
}

}  // namespace

void RtmpInput::push(std::span<const std::uint8_t> bytes) {
  if (!rest_.empty()) {
    rest_.insert(rest_.end(), bytes.begin(), bytes.end());
    bytes = rest_;
  }
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto left = bytes.subspan(done);
    const std::size_t taken = handshake_ < 2 ? take_handshake(left) : take_chunk(left);
    if (taken == 0) break;
    done += taken;
  }
  std::vector<std::uint8_t> rest(bytes.begin() + done, bytes.end());
  rest_.swap(rest);
}

std::size_t RtmpInput::take_handshake(std::span<const std::uint8_t> bytes) {
  const std::size_t wanted = handshake_ == 0 ? 1 + kHandshake : kHandshake;
  if (bytes.size() < wanted) return 0;
  if (handshake_++ == 0) {
    std::vector<std::uint8_t> answer(1 + kHandshake, 0);  // version 0.0.0.0: no digest
    answer[0] = 3;
    answer.insert(answer.end(), bytes.begin() + 1, bytes.begin() + 1 + kHandshake);
    events_.send(answer);
  }
  return wanted;
}

std::size_t RtmpInput::take_chunk(std::span<const std::uint8_t> bytes) {
  const std::uint8_t *at = bytes.data(), *end = at + bytes.size();
  const auto has = [&](std::size_t count) { return static_cast<std::size_t>(end - at) >= count; };
  const unsigned format = *at >> 6;
  std::uint32_t id = *at++ & 63;
  if (id == 0) {
    if (!has(1)) return 0;
    id = 64 + *at++;
  } else if (id == 1) {
    if (!has(2)) return 0;
    id = 64 + at[0] + at[1] * 256;
    at += 2;
  }
  constexpr std::size_t kHeader[] = {11, 7, 3, 0};
  if (!has(kHeader[format])) return 0;
  ChunkStream &stream = streams_[id];
  const bool begins = stream.body.empty();
  std::uint32_t field = 0, length = stream.length;
  std::uint8_t type = stream.type;
  if (format < 3) field = read24(at);
  if (format < 2) {
    length = read24(at + 3);
    type = at[6];
  }
  at += kHeader[format];
  const bool extended = format < 3 ? field == 0xFFFFFF : stream.extended;
  if (extended) {
    if (!has(4)) return 0;
    field = read32(at);
    at += 4;
  }
  const std::size_t part = std::min(length - stream.body.size(), chunk_size_);
  if (!has(part)) return 0;
  if (format == 0) {
    stream.time = field;
    stream.delta = 0;
  } else if (begins) {
    if (format < 3) stream.delta = field;
    stream.time += stream.delta;
  }
  stream.length = length;
  stream.type = type;
  stream.extended = extended;
  if (begins && part == length && (type == 8 || type == 9)) {
    (type == 8 ? events_.audio : events_.video)(stream.time, {at, part});  // without a copy
  } else {
    stream.body.insert(stream.body.end(), at, at + part);
    if (stream.body.size() == length) {
      message(stream);
      stream.body.clear();
    }
  }
  return static_cast<std::size_t>(at + part - bytes.data());
}

void RtmpInput::message(const ChunkStream &stream) {
  switch (stream.type) {
    case 1:
      chunk_size_ = std::max<std::size_t>(1, read32(stream.body.data()));
      break;
    case 8:
      events_.audio(stream.time, stream.body);
      break;
    case 9:
      events_.video(stream.time, stream.body);
      break;
    case 20:
      command(stream.body);
      break;
    default:
      break;
  }
}

void RtmpInput::command(std::span<const std::uint8_t> body) {
  if (body.size() < 12 || body[0] != 2) return;
  const std::size_t size = body[1] << 8 | body[2];
  if (body.size() < 3 + size + 9) return;
  const std::string name(reinterpret_cast<const char *>(&body[3]), size);
  std::uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) bits = bits << 8 | body[4 + size + i];
  double transaction;
  std::memcpy(&transaction, &bits, sizeof transaction);
  if (name == "connect") {
    reply(0, amf_text("_result") + amf_number(transaction) + "\x05" +
                 amf_status("NetConnection.Connect.Success"));
  } else if (name == "createStream") {
    reply(0, amf_text("_result") + amf_number(transaction) + "\x05" + amf_number(1));
  } else if (name == "publish") {
    const std::size_t at = 3 + size + 9 + 1;  // name, number, null
    const std::size_t length = body[at + 1] << 8 | body[at + 2];
    events_.publish(std::string(reinterpret_cast<const char *>(&body[at + 3]), length));
    reply(1, amf_text("onStatus") + amf_number(0) + "\x05" + amf_status("NetStream.Publish.Start"));
  }
}

void RtmpInput::reply(std::uint32_t stream, const std::string &body) {
  std::vector<std::uint8_t> out = {3,
                                   0,
                                   0,
                                   0,
                                   0,
                                   static_cast<std::uint8_t>(body.size() >> 8),
                                   static_cast<std::uint8_t>(body.size()),
                                   20,
                                   static_cast<std::uint8_t>(stream),
                                   0,
                                   0,
                                   0};
  for (std::size_t at = 0; at < body.size(); at += 128) {
    if (at > 0) out.push_back(0xC3);
    const std::string part = body.substr(at, 128);
    out.insert(out.end(), part.begin(), part.end());
  }
  events_.send(out);
}

}  // namespace junctor::bench
