// SPDX-License-Identifier: LGPL-2.1-or-later
// Owning pointers to what GStreamer counts the references of.
#pragma once

#include <gst/gst.h>

#include <memory>

#include "common/handle.h"

namespace junctor {

/// GStreamer's functions for each kind are static inline: as template arguments they would make a
/// type of each file its own.
struct MiniObjectReleaser {
  template <class T>
  void operator()(T *object) const {
    gst_mini_object_unref(GST_MINI_OBJECT_CAST(object));
  }
};

template <class T>
using GstObjectRef = std::unique_ptr<T, Releaser<gst_object_unref>>;
using ElementRef = GstObjectRef<GstElement>;
using PadRef = GstObjectRef<GstPad>;
using BusRef = GstObjectRef<GstBus>;
using ClockRef = GstObjectRef<GstClock>;

template <class T>
using MiniObjectRef = std::unique_ptr<T, MiniObjectReleaser>;
using BufferRef = MiniObjectRef<GstBuffer>;
using EventRef = MiniObjectRef<GstEvent>;
using BufferListRef = MiniObjectRef<GstBufferList>;
using CapsRef = MiniObjectRef<GstCaps>;
using MessageRef = MiniObjectRef<GstMessage>;
using SampleRef = MiniObjectRef<GstSample>;

using StructureRef = std::unique_ptr<GstStructure, Releaser<gst_structure_free>>;

}  // namespace junctor
