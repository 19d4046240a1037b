/* SPDX-License-Identifier: MIT */
/*
 * What the console does with Linux's files, as sequences of 9P requests. Each
 * public call ends the fids it made, but for an open file's. An error half way
 * leaves what was done before it.
 *
 * Links are followed here, by reading them: a server does not, and an absolute
 * one shall begin at Linux's root. What Linux answers is only ever shown or
 * copied: sizes and names are its own claims. [9P2000.L "walk", "readlink"]
 */
#include <errno.h>
#include <stdio.h>

#include "host-bridge/files/p9_client_int.h"

#define PATH_BYTES	8192u		/* with the texts of links */
#define LINKS_MAX	40		/* as Linux has it */

/* Ends a fid. Its reply is of no interest: the fid is gone in any case, and a
 * lost connection has lost it too. */
static void clunk(struct p9_client *c, uint32_t fid)
{
	client_request(c, P9_TCLUNK);
	p9_put32(&c->tx, fid);
	(void)client_call(c);
}

/* Walks one name from fid to a new fid, or clones fid when len is 0; *type is
 * the qid's. The new fid exists only if 0 is returned, and is the caller's to
 * clunk. */
static int walk_one(struct p9_client *c, uint32_t fid, const char *name,
		    size_t len, uint32_t *newfid, uint8_t *type)
{
	uint32_t id = c->next_fid++;
	uint16_t want = len > 0 ? 1 : 0;
	int error;

	client_request(c, P9_TWALK);
	p9_put32(&c->tx, fid);
	p9_put32(&c->tx, id);
	p9_put16(&c->tx, want);
	if (want != 0) {
		p9_putstr(&c->tx, name, len);
	}
	error = client_call(c);
	if (error != 0) {
		return error;
	}
	/* Fewer qids than names is how Twalk says "not found". */
	if (p9_get16(&c->rx) != want) {
		return ENOENT;
	}
	*type = want != 0 ? p9_getqid(&c->rx).type : P9_QTDIR;
	*newfid = id;
	return c->rx.bad ? EPROTO : 0;
}

/* A walk under way. */
struct path {
	struct p9_client *c;
	uint32_t fid;			/* where we are */
	int links;			/* followed so far */
	char rest[PATH_BYTES];		/* still to go */
};

/* Puts a link's text before the rest; an absolute one begins at the root.
 * Returns 0, ELOOP, ENAMETOOLONG (also for no text), or what the server said.
 * The link's own fid is the caller's. */
static int path_link(struct path *path, uint32_t link)
{
	struct p9_client *c = path->c;
	size_t rest = strlen(path->rest) + 1;
	struct p9_str text;
	uint32_t root;
	uint8_t type;
	int error;

	client_request(c, P9_TREADLINK);
	p9_put32(&c->tx, link);
	error = client_call(c);
	if (error != 0) {
		return error;
	}
	text = p9_getstr(&c->rx);
	/* The server could make up links for ever. */
	if (++path->links > LINKS_MAX) {
		return ELOOP;
	}
	if (text.len == 0 || text.len + 1u + rest > sizeof(path->rest)) {
		return ENAMETOOLONG;
	}
	memmove(path->rest + text.len + 1, path->rest, rest);
	memcpy(path->rest, text.s, text.len);
	path->rest[text.len] = '/';
	if (text.s[0] != '/') {
		return 0;
	}
	error = walk_one(c, CLIENT_ROOT, "", 0, &root, &type);
	if (error == 0) {
		clunk(c, path->fid);
		path->fid = root;
	}
	return error;
}

/* Walks the next name of the rest: path->fid becomes what it is, or stays where
 * the link lies, whose text comes next. A link in the last place is followed
 * only if follow says so. path->fid is a good fid after an error too. */
static int path_step(struct path *path, bool follow)
{
	size_t skip = strspn(path->rest, "/");
	size_t len = strcspn(path->rest + skip, "/");
	char *after = path->rest + skip + len;
	uint32_t next;
	uint8_t type;
	int error = walk_one(path->c, path->fid, path->rest + skip, len, &next,
			     &type);

	if (error != 0) {
		return error;
	}
	memmove(path->rest, after, strlen(after) + 1);
	if ((type & P9_QTSYMLINK) != 0 &&
	    (follow || path->rest[strspn(path->rest, "/")] != '\0')) {
		error = path_link(path, next);
		clunk(path->c, next);
	} else {
		clunk(path->c, path->fid);
		path->fid = next;
	}
	return error;
}

/* Walks the first len bytes of a path, from Linux's root whether it says so or
 * not. *fid is the caller's to clunk after 0; after an error it is gone. */
static int walk_path(struct p9_client *c, const char *name, size_t len,
		     bool follow, uint32_t *fid)
{
	struct path path = { .c = c };
	uint8_t type;
	int error;

	if (len >= sizeof(path.rest)) {
		return ENAMETOOLONG;
	}
	memcpy(path.rest, name, len);
	error = walk_one(c, CLIENT_ROOT, "", 0, &path.fid, &type);
	if (error != 0) {
		return error;
	}
	while (error == 0 && path.rest[strspn(path.rest, "/")] != '\0') {
		error = path_step(&path, follow);
	}
	if (error != 0) {
		clunk(c, path.fid);
	}
	*fid = path.fid;
	return error;
}

/* Walks to the directory of the path's last name, and shows that name, within
 * path. EINVAL for a path without one ("/"), else as walk_path(). */
static int walk_parent(struct p9_client *c, const char *path, uint32_t *fid,
		       struct p9_str *name)
{
	size_t end = strlen(path), start;

	while (end > 0 && path[end - 1] == '/') {
		end--;
	}
	for (start = end; start > 0 && path[start - 1] != '/'; ) {
		start--;
	}
	/* What the name is the server will judge, but p9_str has 16 bits for
	 * it. */
	if (start == end || end - start > P9_NAME_MAX) {
		return start == end ? EINVAL : ENAMETOOLONG;
	}
	name->s = path + start;
	name->len = (uint16_t)(end - start);
	return walk_path(c, path, start, true, fid);
}

/* The attributes of a fid, as the server has them. */
static int get_attr(struct p9_client *c, uint32_t fid, struct p9_attr *attr)
{
	int error;

	client_request(c, P9_TGETATTR);
	p9_put32(&c->tx, fid);
	p9_put64(&c->tx, P9_GETATTR_BASIC);
	error = client_call(c);
	if (error == 0) {
		p9_getattr(&c->rx, attr);
		error = c->rx.bad ? EPROTO : 0;
	}
	return error;
}

/* Tlopen with these flags of Linux's. The fid is then open, and can walk no
 * more. */
static int open_fid(struct p9_client *c, uint32_t fid, uint32_t flags)
{
	client_request(c, P9_TLOPEN);
	p9_put32(&c->tx, fid);
	p9_put32(&c->tx, flags);
	return client_call(c);
}

/**
 * Attributes of what a path names; follow decides about a link in the last
 * component. Returns 0, an error of the server's, ELOOP, ENAMETOOLONG, EPROTO,
 * or why there is no connection; so do all that follow.
 */
int p9_client_stat(struct p9_client *c, const char *path, bool follow,
		   struct p9_attr *attr)
{
	uint32_t fid;
	int error = client_begin(c);

	if (error != 0) {
		return error;
	}
	error = walk_path(c, path, strlen(path), follow, &fid);
	if (error == 0) {
		error = get_attr(c, fid, attr);
		clunk(c, fid);
	}
	return client_end(c, error);
}

/* Whether that can be the name of a file in Linux: what takes one from here on
 * need not ask how long it is, or look for a NUL or a slash in it. */
static bool is_name(const struct p9_str *name)
{
	return name->len > 0 && name->len <= P9_NAME_MAX &&
	       memchr(name->s, '\0', name->len) == NULL &&
	       memchr(name->s, '/', name->len) == NULL;
}

/* Shows the names of one Rreaddir; *more: whether another may come. *offset
 * becomes the last entry's, where the next Treaddir goes on. EPROTO for an
 * entry that is cut off, a name that is none, or a count that is not that of
 * what follows. */
static int list_reply(struct p9_client *c, uint64_t *offset, bool *more,
		      bool (*fn)(void *arg, const char *name, size_t len),
		      void *arg)
{
	uint32_t bytes = p9_get32(&c->rx);

	if (c->rx.bad || bytes != (size_t)(c->rx.end - c->rx.at)) {
		return EPROTO;
	}
	/* An empty reply is the end of the directory. */
	*more = bytes > 0;
	while (*more && c->rx.at < c->rx.end) {
		struct p9_str name;

		p9_getqid(&c->rx);
		*offset = p9_get64(&c->rx);
		p9_get8(&c->rx);
		name = p9_getstr(&c->rx);
		if (c->rx.bad || !is_name(&name)) {
			return EPROTO;
		}
		*more = fn(arg, name.s, name.len);
	}
	return 0;
}

/**
 * Calls fn for each name in a directory, "." and ".." among them if the server
 * shows them, until it returns false. A name is 1 to P9_NAME_MAX bytes of
 * Linux's, without NUL or slash, not terminated, good during the call; fn must
 * not call the client, whose buffer holds it. How many come is the server's
 * choice, and there may be no end of them: fn bounds what it keeps.
 */
int p9_client_list(struct p9_client *c, const char *path,
		   bool (*fn)(void *arg, const char *name, size_t len),
		   void *arg)
{
	uint64_t offset = 0;
	bool more = true;
	uint32_t fid;
	int error = client_begin(c);

	if (error != 0) {
		return error;
	}
	error = walk_path(c, path, strlen(path), true, &fid);
	if (error != 0) {
		return client_end(c, error);
	}
	/* ENOTDIR for what is none: Linux says so. */
	error = open_fid(c, fid, P9_O_DIRECTORY);
	while (error == 0 && more) {
		client_request(c, P9_TREADDIR);
		p9_put32(&c->tx, fid);
		p9_put64(&c->tx, offset);
		p9_put32(&c->tx, c->msize - P9_IOHDR);
		error = client_call(c);
		if (error == 0) {
			error = list_reply(c, &offset, &more, fn, arg);
		}
	}
	clunk(c, fid);
	return client_end(c, error);
}

/* Makes a file (mode 0644, root's) and opens it for writing; *fid is the
 * caller's after 0. EEXIST if somebody was faster, or if the name is a link
 * that leads nowhere. */
static int create_file(struct p9_client *c, const char *path, uint32_t *fid)
{
	struct p9_str name;
	int error = walk_parent(c, path, fid, &name);

	if (error != 0) {
		return error;
	}
	/* The directory's fid becomes the file's. */
	client_request(c, P9_TLCREATE);
	p9_put32(&c->tx, *fid);
	p9_putstr(&c->tx, name.s, name.len);
	p9_put32(&c->tx, P9_O_WRONLY | P9_O_CREATE | P9_O_EXCL);
	p9_put32(&c->tx, 0644);
	p9_put32(&c->tx, 0);
	error = client_call(c);
	if (error != 0) {
		clunk(c, *fid);
	}
	return error;
}

/**
 * Opens a regular file for reading, or, with create, makes or empties one for
 * writing. After 0, *fid is to be ended with p9_client_close(). EISDIR or
 * EINVAL for what is no regular file.
 */
int p9_client_open(struct p9_client *c, const char *path, bool create,
		   uint32_t *fid)
{
	struct p9_attr attr;
	int error = client_begin(c);

	if (error != 0) {
		return error;
	}
	error = walk_path(c, path, strlen(path), true, fid);
	if (error == ENOENT && create) {
		return client_end(c, create_file(c, path, fid));
	}
	if (error != 0) {
		return client_end(c, error);
	}
	/* Looked at first: what is no regular file may have no end, and to open
	 * it may do something. */
	error = get_attr(c, *fid, &attr);
	if (error == 0 && (attr.mode & 0170000) != 0100000) {
		error = (attr.mode & 0170000) == 0040000 ? EISDIR : EINVAL;
	}
	if (error == 0) {
		error = open_fid(c, *fid,
				 create ? P9_O_WRONLY | P9_O_TRUNC : 0);
	}
	if (error != 0) {
		clunk(c, *fid);
	}
	return client_end(c, error);
}

/* Begins the call, and Tread or Twrite up to its count, for which *len is cut to
 * what one message carries. Nothing is begun if it fails. */
static int data_begin(struct p9_client *c, uint8_t type, uint32_t fid,
		      uint64_t offset, size_t *len)
{
	int error = client_begin(c);

	if (error != 0) {
		return error;
	}
	if (*len > c->msize - P9_IOHDR) {
		*len = c->msize - P9_IOHDR;
	}
	client_request(c, type);
	p9_put32(&c->tx, fid);
	p9_put64(&c->tx, offset);
	p9_put32(&c->tx, (uint32_t)*len);
	return 0;
}

/**
 * Reads up to len bytes of an open file, at most what one message carries;
 * *done is 0 at its end. EPROTO if the server sends more than was asked for.
 * EBADF: the connection was lost since the file was opened.
 */
int p9_client_read(struct p9_client *c, uint32_t fid, uint64_t offset,
		   void *buf, size_t len, size_t *done)
{
	const uint8_t *data;
	int error = data_begin(c, P9_TREAD, fid, offset, &len);

	*done = 0;
	if (error != 0) {
		return error;
	}
	error = client_call(c);
	if (error == 0) {
		size_t n = p9_get32(&c->rx);

		data = n <= len ? p9_take(&c->rx, n) : NULL;
		if (data == NULL) {
			error = EPROTO;
		} else {
			memcpy(buf, data, n);
			*done = n;
		}
	}
	return client_end(c, error);
}

/**
 * Writes up to len bytes of an open file, at most what one message carries;
 * *done tells how many Linux says it took, never more than len.
 */
int p9_client_write(struct p9_client *c, uint32_t fid, uint64_t offset,
		    const void *buf, size_t len, size_t *done)
{
	int error = data_begin(c, P9_TWRITE, fid, offset, &len);

	*done = 0;
	if (error != 0) {
		return error;
	}
	p9_put(&c->tx, buf, len);
	error = client_call(c);
	if (error == 0) {
		*done = p9_get32(&c->rx);
		error = *done > len || c->rx.bad ? EPROTO : 0;
	}
	return client_end(c, error);
}

/**
 * Closes an open file. Nothing to do without a connection: its fids ended with
 * it. From within another call it does nothing, and the fid stays until the
 * connection ends.
 */
void p9_client_close(struct p9_client *c, uint32_t fid)
{
	if (c->conn != NULL && client_begin(c) == 0) {
		clunk(c, fid);
		client_end(c, 0);
	}
}

/** Makes a directory (mode 0755, root's) whose parent exists. */
int p9_client_mkdir(struct p9_client *c, const char *path)
{
	struct p9_str name;
	uint32_t fid;
	int error = client_begin(c);

	if (error != 0) {
		return error;
	}
	error = walk_parent(c, path, &fid, &name);
	if (error == 0) {
		client_request(c, P9_TMKDIR);
		p9_put32(&c->tx, fid);
		p9_putstr(&c->tx, name.s, name.len);
		p9_put32(&c->tx, 0755);
		p9_put32(&c->tx, 0);
		error = client_call(c);
		clunk(c, fid);
	}
	return client_end(c, error);
}

/* Tunlinkat of a name in the directory fid. */
static int unlink_at(struct p9_client *c, uint32_t fid,
		     const struct p9_str *name, uint32_t flags)
{
	client_request(c, P9_TUNLINKAT);
	p9_put32(&c->tx, fid);
	p9_putstr(&c->tx, name->s, name->len);
	p9_put32(&c->tx, flags);
	return client_call(c);
}

/**
 * Removes a file or an empty directory. A link is removed itself. Which of the
 * two it is the server says by EISDIR, so that nothing can change in between.
 */
int p9_client_remove(struct p9_client *c, const char *path)
{
	struct p9_str name;
	uint32_t fid;
	int error = client_begin(c);

	if (error != 0) {
		return error;
	}
	error = walk_parent(c, path, &fid, &name);
	if (error == 0) {
		error = unlink_at(c, fid, &name, 0);
		if (error == EISDIR) {
			error = unlink_at(c, fid, &name, P9_AT_REMOVEDIR);
		}
		clunk(c, fid);
	}
	return client_end(c, error);
}

/**
 * Gives a file or directory another name, in another directory if need be; a file,
 * or an empty directory, that has the name is replaced.
 */
int p9_client_rename(struct p9_client *c, const char *from, const char *to)
{
	struct p9_str name, new_name;
	uint32_t fid, new_fid;
	int error = client_begin(c);

	if (error != 0) {
		return error;
	}
	error = walk_parent(c, from, &fid, &name);
	if (error == 0) {
		error = walk_parent(c, to, &new_fid, &new_name);
		if (error == 0) {
			client_request(c, P9_TRENAMEAT);
			p9_put32(&c->tx, fid);
			p9_putstr(&c->tx, name.s, name.len);
			p9_put32(&c->tx, new_fid);
			p9_putstr(&c->tx, new_name.s, new_name.len);
			error = client_call(c);
			clunk(c, new_fid);
		}
		clunk(c, fid);
	}
	return client_end(c, error);
}
