/* SPDX-License-Identifier: MIT */
/*
 * The 9P operations on Linux's own files. A fid holds an O_PATH descriptor, so
 * it stays with its file whatever is renamed; what needs more than that
 * descriptor goes through /proc/self/fd, where links are refused before. Each
 * operation reads all its fields, then acts: a p9_op, with `fid` in use, `in`
 * behind its number, the reply's body in `out`; 0 or an errno value of Linux.
 * Names are single components. Rights are root's, for whoever may speak here.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"
#include "agent_9p.h"

#define PROC_FD_LEN	32
#define DIRENT_HEADER	24u	/* qid[13] offset[8] type[1] length[2] */
#define READ_HEADER	(P9_HEADER + 4)	/* header and count[4] */

/* The open flags a client may choose. 9P2000.L's are Linux's on x86. O_CREAT is
 * Tlcreate's own. */
#define OPEN_FLAGS	(O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECTORY | O_EXCL)

/* A path that opens, or changes, the very file behind a descriptor. */
static void proc_path(char *out, int fd)
{
	snprintf(out, PROC_FD_LEN, "/proc/self/fd/%d", fd);
}

/* System calls' results as errno values. */
static int status(int result)
{
	return result < 0 ? errno : 0;
}

static int64_t time_of(const struct timespec *time)
{
	return p9_time(time->tv_sec, (uint64_t)time->tv_nsec);
}

/* Puts the qid of an entry just made. If somebody replaced it meanwhile it is
 * the other's: the client would find that one too. */
static int put_entry_qid(int dir, const char *name, struct p9_writer *out)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		return errno;
	}
	p9_put_qid(out, st.st_mode, st.st_ino);
	return 0;
}

/* Opens an entry of a directory as O_PATH; ".." ends at the root. -1 with
 * errno. dir may be no directory at all: ENOTDIR. */
static int step(const struct p9_server *s, int dir, const char *name)
{
	struct stat here, root;

	if (strcmp(name, "..") == 0 && fstat(dir, &here) == 0 &&
	    stat(s->root, &root) == 0 && here.st_ino == root.st_ino &&
	    here.st_dev == root.st_dev) {
		name = ".";
	}
	return openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* Walks the names in the request from *at, whose descriptor is ours to close;
 * *done counts the steps that worked, their qids are put. 0, or the errno value
 * of the step that did not. */
static int walk_names(const struct p9_server *s, struct p9_reader *in,
		      unsigned int count, int *at, unsigned int *done,
		      struct p9_writer *out)
{
	char name[P9_NAME_MAX + 1];
	struct stat st;

	for (*done = 0; *done < count; (*done)++) {
		int next;

		if (!p9_get_name(in, name)) {
			return EINVAL;
		}
		next = step(s, *at, name);
		if (next < 0) {
			return errno;
		}
		close(*at);
		*at = next;
		if (fstat(next, &st)) {
			return errno;
		}
		p9_put_qid(out, st.st_mode, st.st_ino);
	}
	return 0;
}

/**
 * Twalk. A walk that stops half way gives the qids so far and no fid; one that
 * fails at the first name is an error. Without names the new fid is a copy.
 * newfid may be fid itself, which then moves, closed for I/O.
 */
int op_walk(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	    struct p9_writer *out)
{
	uint32_t id = p9_get32(in);
	unsigned int count = p9_get16(in), done;
	uint8_t *counted = out->at;
	struct p9_fid *target;
	int error, at;

	if (in->bad || count > P9_WALK_MAX) {
		return EINVAL;
	}
	at = fcntl(fid->path, F_DUPFD_CLOEXEC, 0);
	if (at < 0) {
		return errno;
	}
	/* The count of qids, filled in below; 16 at most, so one byte. */
	p9_put16(out, 0);
	error = walk_names(s, in, count, &at, &done, out);
	*counted = (uint8_t)done;
	if (error) {
		close(at);
		return done > 0 && !in->bad ? 0 : error;
	}
	target = id == fid->id ? fid : p9_fid_new(s, id);
	if (!target) {
		error = errno;
		close(at);
		return error;
	}
	/* Drops the descriptors and keeps the number. */
	if (target == fid) {
		p9_fid_drop(fid);
		fid->used = true;
		fid->io = -1;
	}
	target->path = at;
	return 0;
}

/**
 * Tgetattr: always all of the basic fields, whatever the mask asks for; that is
 * allowed, and saves nothing to leave out. Birth time, generation and data
 * version are not valid, and 0.
 */
int op_getattr(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	       struct p9_writer *out)
{
	struct stat st;
	struct p9_attr attr;
	int error = status(fstat(fid->path, &st));

	(void)s;
	(void)in;
	if (error) {
		return error;
	}
	attr = (struct p9_attr){
		.valid = P9_GETATTR_BASIC,
		.qid = agent_qid(st.st_mode, st.st_ino),
		.mode = st.st_mode,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.nlink = st.st_nlink,
		.rdev = st.st_rdev,
		.size = (uint64_t)st.st_size,
		.blksize = (uint64_t)st.st_blksize,
		.blocks = (uint64_t)st.st_blocks,
		.atime = time_of(&st.st_atim),
		.mtime = time_of(&st.st_mtim),
		.ctime = time_of(&st.st_ctim),
	};
	p9_putattr(out, &attr);
	return 0;
}

/* Reads both times and sets those that `valid` names, by path; the other one
 * stays. */
static int set_times(const char *path, uint32_t valid, struct p9_reader *in)
{
	struct timespec times[2];
	const uint32_t change[2] = { P9_SETATTR_ATIME, P9_SETATTR_MTIME };
	const uint32_t set[2] = { P9_SETATTR_ATIME_SET, P9_SETATTR_MTIME_SET };

	for (int i = 0; i < 2; i++) {
		times[i].tv_sec = (time_t)p9_get64(in);
		times[i].tv_nsec = (long)p9_get64(in);
		/* utimensat(2)'s ways to say "leave it" and "now". */
		if (!(valid & change[i])) {
			times[i].tv_nsec = UTIME_OMIT;
		} else if (!(valid & set[i])) {
			times[i].tv_nsec = UTIME_NOW;
		}
	}
	return valid & (P9_SETATTR_ATIME | P9_SETATTR_MTIME) ?
		status(utimensat(AT_FDCWD, path, times, 0)) : 0;
}

/**
 * Tsetattr, in the order owner, mode, size, times: a change of owner clears
 * set-ID bits that the mode may then set. Stops at the first that fails; what
 * was done before stays. Not for links.
 */
int op_setattr(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	       struct p9_writer *out)
{
	uint32_t valid = p9_get32(in);
	mode_t mode = (mode_t)p9_get32(in) & 07777;
	uid_t uid = (uid_t)p9_get32(in);
	gid_t gid = (gid_t)p9_get32(in);
	uint64_t size = p9_get64(in);
	char path[PROC_FD_LEN];
	struct stat st;
	int error = status(fstat(fid->path, &st));

	(void)s;
	(void)out;
	/* The two times are still to come: if they are there, all before was
	 * too. */
	if (in->bad || in->end - in->at < 32 || size > INT64_MAX) {
		return EINVAL;
	}
	if (error || S_ISLNK(st.st_mode)) {
		return error ? error : EOPNOTSUPP;
	}
	proc_path(path, fid->path);
	if (valid & (P9_SETATTR_UID | P9_SETATTR_GID)) {
		error = status(chown(path,
				     valid & P9_SETATTR_UID ? uid : (uid_t)-1,
				     valid & P9_SETATTR_GID ? gid : (gid_t)-1));
	}
	if (!error && (valid & P9_SETATTR_MODE)) {
		error = status(chmod(path, mode));
	}
	if (!error && (valid & P9_SETATTR_SIZE)) {
		error = status(truncate(path, (off_t)size));
	}
	return error ? error : set_times(path, valid, in);
}

/* Opens what an O_PATH descriptor stands for and puts the reply; -1 with errno.
 * Regular files, and directories without O_CREAT: a FIFO would hold us up, a
 * device do things. The type cannot change after the look: fd is the file's. */
static int open_file(int fd, int flags, struct p9_writer *out)
{
	char path[PROC_FD_LEN];
	struct stat st;

	if (fstat(fd, &st)) {
		return -1;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		errno = S_ISLNK(st.st_mode) ? ELOOP : EPERM;
		return -1;
	}
	p9_put_qid(out, st.st_mode, st.st_ino);
	p9_put32(out, 0);	/* iounit: as large as fits */
	proc_path(path, fd);
	/* O_NONBLOCK: no open may hold this server up, whatever the file system
	 * makes of it. */
	return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
}

/** Tlopen: see open_file(). EINVAL when it is open already. */
int op_lopen(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	     struct p9_writer *out)
{
	int flags = (int)p9_get32(in) & OPEN_FLAGS & ~O_EXCL;

	(void)s;
	if (in->bad || fid->io >= 0) {
		return EINVAL;
	}
	fid->io = open_file(fid->path, flags, out);
	return fid->io < 0 ? errno : 0;
}

/**
 * Tlcreate: the fid of the directory becomes the new, opened file, or one that
 * was there, if Tlopen would open it; with O_EXCL in flags that is EEXIST. The
 * group in the request is not used: the directory's rules hold.
 */
int op_lcreate(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	       struct p9_writer *out)
{
	char name[P9_NAME_MAX + 1];
	bool named = p9_get_name(in, name);
	int flags = (int)p9_get32(in) & OPEN_FLAGS & ~O_DIRECTORY;
	mode_t mode = (mode_t)p9_get32(in) & 07777;
	int io, path, error;

	(void)s;
	if (!named || in->bad || fid->io >= 0) {
		return EINVAL;
	}
	/* Made first, opened then: an open that makes files does not look at
	 * what it finds instead. */
	if (mknodat(fid->path, name, S_IFREG | mode, 0) &&
	    (errno != EEXIST || (flags & O_EXCL))) {
		return errno;
	}
	path = openat(fid->path, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path < 0) {
		return errno;
	}
	io = open_file(path, (flags & ~O_EXCL) | O_CREAT, out);
	error = status(io);
	if (error) {
		close(path);
		return error;
	}
	close(fid->path);
	fid->path = path;
	fid->io = io;
	return 0;
}

/* The count of a read, cut to what the reply has room for: msize is the
 * client's limit, and P9_MSIZE_MIN leaves room for any header. */
static size_t read_count(struct p9_reader *in, const struct p9_writer *out)
{
	size_t count = p9_get32(in);
	size_t room = (size_t)(out->end - out->start) - READ_HEADER;

	return count < room ? count : room;
}

/**
 * Tread, of an open file: data goes straight into the reply's place. Fewer
 * bytes than asked for are not the end, none are. A directory is EISDIR.
 */
int op_read(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	    struct p9_writer *out)
{
	off_t offset = (off_t)p9_get64(in);
	size_t count = read_count(in, out);
	ssize_t n;

	(void)s;
	if (in->bad || fid->io < 0) {
		return in->bad ? EINVAL : EBADF;
	}
	n = pread(fid->io, out->start + READ_HEADER, count, offset);
	if (n < 0) {
		return errno;
	}
	p9_put32(out, (uint32_t)n);
	p9_room(out, (size_t)n);
	return 0;
}

/**
 * Twrite: data lies in the request. Rwrite says how much was written, which may
 * be less.
 */
int op_write(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	     struct p9_writer *out)
{
	off_t offset = (off_t)p9_get64(in);
	size_t count = p9_get32(in);
	const uint8_t *data = p9_take(in, count);
	ssize_t n;

	(void)s;
	if (in->bad || fid->io < 0) {
		return in->bad ? EINVAL : EBADF;
	}
	n = pwrite(fid->io, data, count, offset);
	if (n < 0) {
		return errno;
	}
	p9_put32(out, (uint32_t)n);
	return 0;
}

/* Puts the entries getdents64 gave while they fit whole before end, which lies
 * in the reply's room. The kernel's records are believed. */
static void put_entries(const uint8_t *dents, size_t len, const uint8_t *end,
			struct p9_writer *out)
{
	for (size_t at = 0; at < len; ) {
		/* Records are aligned by the kernel, and so is the buffer.
		 * With 64-bit offsets a dirent is the kernel's dirent64. */
		const struct dirent *d = (const void *)(dents + at);
		size_t name = strlen(d->d_name);

		if (DIRENT_HEADER + name > (size_t)(end - out->at)) {
			break;
		}
		p9_put_qid(out, DTTOIF(d->d_type), d->d_ino);
		p9_put64(out, (uint64_t)d->d_off);
		p9_put8(out, d->d_type);
		p9_put_text(out, d->d_name);
		at += d->d_reclen;
	}
}

/**
 * Treaddir. The offset is the file system's own cookie, 0 at first, then that
 * of the last entry the client got; nothing is kept between requests. An empty
 * reply is the end.
 */
int op_readdir(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	       struct p9_writer *out)
{
	static uint8_t dents[32768] __attribute__((aligned(8)));
	off_t offset = (off_t)p9_get64(in);
	size_t count = read_count(in, out);
	long len;

	(void)s;
	if (in->bad || fid->io < 0) {
		return in->bad ? EINVAL : EBADF;
	}
	if (lseek(fid->io, offset, SEEK_SET) < 0) {
		return errno;
	}
	len = syscall(SYS_getdents64, fid->io, dents, sizeof(dents));
	if (len < 0) {
		return errno;
	}
	p9_put32(out, 0);
	put_entries(dents, (size_t)len, out->at + count, out);
	/* An empty reply would say that the directory ends here. */
	if (len > 0 && out->at == out->start + READ_HEADER) {
		return EINVAL;	/* count is too small for one entry */
	}
	agent_put_le32(out->start + P9_HEADER,
		       (uint32_t)(out->at - out->start - READ_HEADER));
	return 0;
}

/**
 * Tmkdir; the reply is the new directory's qid. The group in the request is not
 * used: all is root's.
 */
int op_mkdir(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	     struct p9_writer *out)
{
	char name[P9_NAME_MAX + 1];
	bool named = p9_get_name(in, name);
	mode_t mode = (mode_t)p9_get32(in) & 07777;

	(void)s;
	if (!named || in->bad) {
		return EINVAL;
	}
	if (mkdirat(fid->path, name, mode)) {
		return errno;
	}
	return put_entry_qid(fid->path, name, out);
}

/** Tsymlink. The target is any text below PATH_MAX; nobody looks at it here. */
int op_symlink(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	       struct p9_writer *out)
{
	char name[P9_NAME_MAX + 1], target[PATH_MAX];
	bool named = p9_get_name(in, name);

	(void)s;
	p9_get_text(in, target, sizeof(target));
	if (!named || in->bad) {
		return EINVAL;
	}
	if (symlinkat(target, fid->path, name)) {
		return errno;
	}
	return put_entry_qid(fid->path, name, out);
}

/**
 * Treadlink: the target as it is. EINVAL, as of readlink(2), if it is no link:
 * with an empty path the kernel says ENOENT.
 */
int op_readlink(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
		struct p9_writer *out)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(fid->path, "", target, sizeof(target) - 1);

	(void)s;
	(void)in;
	if (n < 0) {
		return errno == ENOENT ? EINVAL : errno;
	}
	target[n] = '\0';
	p9_put_text(out, target);
	return 0;
}

/** Tlink: a second name, in the directory fid, for another fid's file. */
int op_link(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	    struct p9_writer *out)
{
	struct p9_fid *file = p9_fid_find(s, p9_get32(in));
	char name[P9_NAME_MAX + 1];

	(void)out;
	if (!p9_get_name(in, name)) {
		return EINVAL;
	}
	return file ? status(linkat(file->path, "", fid->path, name,
				    AT_EMPTY_PATH)) : EBADF;
}

/**
 * Trenameat: from a name in the directory fid to one in another; what is there
 * already is replaced, as by rename(2).
 */
int op_renameat(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
		struct p9_writer *out)
{
	char from[P9_NAME_MAX + 1], to[P9_NAME_MAX + 1];
	bool named = p9_get_name(in, from);
	struct p9_fid *dir = p9_fid_find(s, p9_get32(in));

	(void)out;
	if (!p9_get_name(in, to) || !named) {
		return EINVAL;
	}
	return dir ? status(renameat(fid->path, from, dir->path, to)) : EBADF;
}

/** Tunlinkat; flag AT_REMOVEDIR for directories. */
int op_unlinkat(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
		struct p9_writer *out)
{
	char name[P9_NAME_MAX + 1];
	bool named = p9_get_name(in, name);
	int flags = (int)p9_get32(in) & AT_REMOVEDIR;

	(void)s;
	(void)out;
	if (!named || in->bad) {
		return EINVAL;
	}
	return status(unlinkat(fid->path, name, flags));
}

/** Tstatfs, of the file system that the fid's file is on. */
int op_statfs(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	      struct p9_writer *out)
{
	struct statfs st;
	uint64_t fsid;

	(void)s;
	(void)in;
	if (fstatfs(fid->path, &st)) {
		return errno;
	}
	memcpy(&fsid, &st.f_fsid, sizeof(fsid));
	p9_put32(out, (uint64_t)st.f_type);
	p9_put32(out, (uint64_t)st.f_bsize);
	p9_put64(out, st.f_blocks);
	p9_put64(out, st.f_bfree);
	p9_put64(out, st.f_bavail);
	p9_put64(out, st.f_files);
	p9_put64(out, st.f_ffree);
	p9_put64(out, fsid);
	p9_put32(out, (uint64_t)st.f_namelen);
	return 0;
}

/**
 * Tfsync, for an open fid; data and attributes, though only data may be asked
 * for.
 */
int op_fsync(struct p9_server *s, struct p9_fid *fid, struct p9_reader *in,
	     struct p9_writer *out)
{
	(void)s;
	(void)in;
	(void)out;
	return fid->io < 0 ? EBADF : status(fsync(fid->io));
}
