// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/gst/shared_buffer.h"

namespace junctor {

namespace {

/// Memory that is a view into shared bytes.
struct SharedMemory {
  GstMemory base;
  SharedBytes bytes;
};

constexpr const char *kMemoryType = "junctor-shared";

struct SharedAllocator {
  GstAllocator parent;
};
struct SharedAllocatorClass {
  GstAllocatorClass parent_class;
};
G_DEFINE_TYPE(SharedAllocator, junctor_shared_allocator, GST_TYPE_ALLOCATOR)

/// The bytes are shared with others: nobody may write, as the flag says.
gpointer map(GstMemory *memory, gsize, GstMapFlags) {
  return const_cast<std::byte *>(reinterpret_cast<SharedMemory *>(memory)->bytes.view.data());
}

GstMemory *make(GstAllocator *allocator, GstMemory *parent, const SharedBytes &bytes, gsize offset,
                gsize size) {
  auto *made = new SharedMemory{{}, bytes};
  gst_memory_init(&made->base, GST_MEMORY_FLAG_READONLY, allocator, parent, bytes.view.size(), 0,
                  offset, size);
  return &made->base;
}

GstMemory *share(GstMemory *memory, gssize offset, gssize size) {
  GstMemory *parent = memory->parent != nullptr ? memory->parent : memory;
  const gsize from = memory->offset + static_cast<gsize>(offset);
  const gsize count =
      size < 0 ? memory->size - static_cast<gsize>(offset) : static_cast<gsize>(size);
  return make(memory->allocator, parent, reinterpret_cast<SharedMemory *>(memory)->bytes, from,
              count);
}

void junctor_shared_allocator_class_init(SharedAllocatorClass *klass) {
  klass->parent_class.alloc = [](GstAllocator *, gsize, GstAllocationParams *) -> GstMemory * {
    return nullptr;  // there is nothing to share yet
  };
  klass->parent_class.free = [](GstAllocator *, GstMemory *memory) {
    delete reinterpret_cast<SharedMemory *>(memory);
  };
}

void junctor_shared_allocator_init(SharedAllocator *self) {
  self->parent.mem_type = kMemoryType;
  self->parent.mem_map = map;
  self->parent.mem_unmap = [](GstMemory *) {};
  self->parent.mem_share = share;
  GST_OBJECT_FLAG_SET(self, GST_ALLOCATOR_FLAG_CUSTOM_ALLOC);
}

GstAllocator *allocator() {
  static GstAllocator *const instance = [] {
    auto *made = static_cast<GstAllocator *>(
        gst_object_ref_sink(g_object_new(junctor_shared_allocator_get_type(), nullptr)));
    GST_OBJECT_FLAG_SET(made, GST_OBJECT_FLAG_MAY_BE_LEAKED);
    return made;
  }();
  return instance;
}

}  // namespace

GstBuffer *wrap(const SharedBytes &bytes) {
  GstBuffer *buffer = gst_buffer_new();
  gst_buffer_append_memory(buffer, make(allocator(), nullptr, bytes, 0, bytes.view.size()));
  return buffer;
}

std::optional<SharedBytes> unwrap(GstBuffer *buffer) {
  if (gst_buffer_n_memory(buffer) != 1) return std::nullopt;
  GstMemory *memory = gst_buffer_peek_memory(buffer, 0);
  if (memory->allocator == nullptr || memory->allocator->mem_type != kMemoryType)
    return std::nullopt;
  const SharedBytes &bytes = reinterpret_cast<SharedMemory *>(memory)->bytes;
  return SharedBytes{bytes.owner, bytes.view.subspan(memory->offset, memory->size)};
}

void set_codec_data(GstStructure *structure, const SharedBytes &bytes) {
  GstBuffer *buffer = wrap(bytes);
  gst_structure_set(structure, "codec_data", GST_TYPE_BUFFER, buffer, nullptr);
  gst_buffer_unref(buffer);
}

}  // namespace junctor
