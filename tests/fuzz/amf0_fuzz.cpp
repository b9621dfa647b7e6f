// SPDX-License-Identifier: LGPL-2.1-or-later
// AMF0: what is read can be written and read again.
#include "input.h"
#include "rtmp/core/amf0.h"

using namespace junctor;
using namespace junctor::rtmp;

namespace {

Bytes write(const std::vector<AmfValue> &values) {
  Bytes bytes;
  for (const AmfValue &value : values) write_amf0(value, bytes);
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto values = read_amf0(fuzz::input(data, size));
  if (!values) return 0;
  const Bytes written = write(*values);
  AmfLimits wide;
  wide.bytes = written.size();
  const auto again = read_amf0(written, wide);
  // Compared as bytes: a NaN equals nothing, itself included.
  fuzz::require(again && write(*again) == written);
  return 0;
}
