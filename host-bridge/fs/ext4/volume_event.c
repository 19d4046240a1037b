/* SPDX-License-Identifier: MIT */
/*
 * Observers: who is told of each change, after it. The public functions report
 * where they end, when the volume is whole again: an observer may look at it.
 * Observers are code of ours and trusted to keep to that.
 */
#include "host-bridge/fs/ext4/volume_int.h"

/**
 * Tells an observer of every change from now on, until volume_unobserve(). Not
 * to be called from an observer's function.
 */
void volume_observe(struct volume *vol, struct volume_observer *observer)
{
	observer->next = vol->observers;
	vol->observers = observer;
}

/** Tells an observer nothing more; without effect for one that is none. */
void volume_unobserve(struct volume *vol, struct volume_observer *observer)
{
	struct volume_observer **at = &vol->observers;

	while (*at != NULL && *at != observer) {
		at = &(*at)->next;
	}
	if (*at != NULL) {
		*at = observer->next;
	}
}

/**
 * Sets whose changes are those that follow, until it is called again: what
 * events give as their origin. Compared by the observers, never followed; NULL,
 * as at first, is the console.
 */
void volume_origin(struct volume *vol, const void *who)
{
	vol->origin = who;
}

/** Tells all observers of an event; the origin is put in. The caller's vnodes stay,
 * whatever they look at. */
void event_send(struct volume *vol, struct volume_event *event)
{
	event->origin = vol->origin;
	vol->telling = true;
	for (struct volume_observer *to = vol->observers; to != NULL;
	     to = to->next) {
		to->fn(to, event);
	}
	vol->telling = false;
}

/** A name in dir, for vn, was made or deleted. */
void event_name(struct volume *vol, enum volume_what what,
		const struct vnode *dir, const char *name, size_t len,
		const struct vnode *vn)
{
	struct volume_event event = {
		.what = what, .is_dir = vnode_is(vn, VOLUME_S_IFDIR),
		.ino = vn->ino, .dir = dir->ino, .name = name, .len = len,
	};

	event_send(vol, &event);
}

/** The attributes of a file have changed; nobody knows one that is gone. */
void event_attrib(struct volume *vol, const struct vnode *vn)
{
	struct volume_event event = {
		.what = VOLUME_ATTRIB, .is_dir = vnode_is(vn, VOLUME_S_IFDIR),
		.ino = vn->ino,
	};

	if (!vn->dead) {
		event_send(vol, &event);
	}
}

/** Bytes of a file have changed, or its size: length may be VOLUME_TO_END. */
void event_modified(struct volume *vol, const struct vnode *vn,
		    uint64_t offset, uint64_t length)
{
	struct volume_event event = {
		.what = VOLUME_MODIFIED, .ino = vn->ino, .offset = offset,
		.length = length,
	};

	event_send(vol, &event);
}
