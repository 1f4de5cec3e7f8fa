/* mesh: tunnels (tunnel.c), what listens (listen_here.c, listen_there.c) and their connections (conn.c). Guarded by
 * mesh->lock. */
#ifndef ECI_MESH_TUNNEL_H
#define ECI_MESH_TUNNEL_H

#include "mesh/pump.h"
#include "service/socks.h"

#include <sys/socket.h>

#define ECI_TUNNEL_CONNS_MAX 4096u /* at once, as many as a context has streams; more wait in the kernel */
#define ECI_TUNNEL_TARGETS_MAX 8u  /* addresses of one name that are tried */
#define ECI_TUNNEL_OPEN_MS 60000   /* for connecting to the exit, and from there, where the program says no limit */
#define ECI_TUNNEL_SOCKS_S 20.     /* for a client to say where to */
#define ECI_TUNNEL_FULL_S 0.025    /* between tries to connect to a unix socket whose backlog is full */
#define ECI_TUNNEL_SOCKS_TEXT 255u /* bytes of a user or a password: RFC 1929 has one for their number */
#define ECI_TUNNEL_SHORT_MAX 18u   /* tries for a descriptor, one a second: who came is closed there after 20 s */
#define ECI_TUNNEL_CLOSE_MS 1000   /* for the exit to close what listens there */
#define ECI_TUNNEL_AGAIN_S 1.      /* until a lost exit is asked to listen again, or a descriptor for who comes */
#define ECI_TUNNEL_PAUSE_S 60.     /* the longest of the first: it doubles while the exit does not come back */

struct eci_sock_address {
	struct sockaddr_storage sa;
	socklen_t len;
};

struct eci_conn {
	struct ectx_tunnel *tunnel;
	struct eci_conn *prev, *next;
	struct eci_pump pump; /* its descriptor from the start */
	ev_io hand;           /* SOCKS handshake, or a local connect that is under way */
	ev_timer limit;
	struct eci_socks *socks;     /* until it is connected */
	struct ectx_future *opening; /* until it is open */
	uint32_t number;             /* of a remote listener's connection */
	unsigned target;             /* which of the tunnel's targets is tried next */
	unsigned tries;              /* of one that was full, or for a descriptor */
	bool refused;                /* the local side could not be connected */
};

/* A program may hold it until the tunnel is closed. */
struct eci_old_address {
	struct eci_old_address *before;
	char *text;
};

struct ectx_tunnel {
	ectx_mesh *mesh;
	struct ectx_tunnel *prev, *next;
	ectx_context *exit;
	enum ectx_tunnel_kind kind;
	char *user, *password;
	char *address; /* where it listens */
	struct eci_old_address *old;
	struct eci_address to;
	/* local, SOCKS */
	int fd;
	char *path; /* to be unlinked; NULL: no unix socket */
	ev_io listen;
	bool full;    /* does not accept until a connection ends */
	long open_ms; /* ECI_TUNNEL_OPEN_MS, or what the program says */
	/* remote */
	struct eci_address at;
	struct eci_sock_address targets[ECI_TUNNEL_TARGETS_MAX]; /* what `to` was when it began */
	unsigned ntargets;
	struct ectx_future *opening;
	struct eci_stream *events;
	ev_timer again;
	double pause;     /* before it is asked again */
	bool first_known; /* ectx_tunnel_open() has its answer */
	bool any_port;    /* asked for was port 0; at.port is what came of it, or 0 while it is taken */
	struct eci_conn *conns;
	unsigned nconns;
};

/* A connection that came to our socket. fd is owned by it. */
void eci_conn_accepted(struct ectx_tunnel *t, int fd);
/* A connection that came to the exit's. */
void eci_conn_remote(struct ectx_tunnel *t, uint32_t number);
void eci_conn_free(struct eci_conn *c, const char *why);
void eci_tunnel_say(struct ectx_tunnel *t, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void eci_tunnel_free(struct ectx_tunnel *t);

/* ---- listening here ---- */
/* What a means on this machine: its addresses, up to `most`, those to listen at with version 4 first. How many, or 0
 * with *fail. Asks the resolver, so it may block. */
unsigned eci_sock_addresses(struct eci_sock_address *out, unsigned most, const struct eci_address *a, bool listen,
			    struct eci_fail *fail);
int eci_listen_parse(struct eci_address *a, const char *text, struct eci_fail *fail); /* "[HOST:]PORT" too */
/* Sets t->fd and t->address; nobody is accepted before _begin(). No lock. 0, or -1 with *fail. */
int eci_listen_here(struct ectx_tunnel *t, const char *text, struct eci_fail *fail);
void eci_listen_here_begin(struct ectx_tunnel *t);
void eci_listen_here_again(struct ev_loop *loop, ev_timer *w, int events); /* t->again */
void eci_tunnel_listen(struct ectx_tunnel *t, bool on);
bool eci_tunnel_short(int error); /* no descriptor is to be had, as is said here by errno; later there may be one */

/* ---- listening there ---- */
/* Sets t->events and t->address. Blocks; the lock is not held. 0, or -1 with *err or *fail. */
int eci_listen_there(struct ectx_tunnel *t, const char *text, long timeout_ms, ectx_error *err, struct eci_fail *fail);
void eci_listen_there_again(struct ev_loop *loop, ev_timer *w, int events); /* t->again */
void eci_listen_there_end(struct ectx_tunnel *t);                           /* t->events is gone */

#endif
