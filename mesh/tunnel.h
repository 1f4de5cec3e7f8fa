/* mesh: tunnels (tunnel.c) and their connections (conn.c). Guarded by mesh->lock. */
#ifndef ECI_MESH_TUNNEL_H
#define ECI_MESH_TUNNEL_H

#include "mesh/pump.h"
#include "service/socks.h"

#include <sys/socket.h>

#define ECI_TUNNEL_CONNS_MAX 4096u /* at once, as many as a context has streams; more wait in the kernel */
#define ECI_TUNNEL_OPEN_MS 60000   /* for connecting to the exit, and from there */
#define ECI_TUNNEL_SOCKS_S 20.     /* for a client to say where to */
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
	uint64_t number;             /* of a remote listener's connection */
	bool refused;                /* the local side could not be connected */
};

struct ectx_tunnel {
	ectx_mesh *mesh;
	struct ectx_tunnel *prev, *next;
	ectx_context *exit;
	enum ectx_tunnel_kind kind;
	char *user, *password;
	char *address; /* where it listens */
	struct eci_address to;
	/* local, SOCKS */
	int fd;
	char *path; /* to be unlinked; NULL: no unix socket */
	ev_io listen;
	bool full; /* does not accept until a connection ends */
	/* remote */
	struct eci_address at;
	struct eci_sock_address target;
	struct ectx_future *opening;
	struct eci_stream *events;
	ev_timer again;
	double pause;     /* before it is asked again */
	bool first_known; /* ectx_tunnel_open() has its answer */
	struct eci_conn *conns;
	unsigned nconns;
};

/* A connection that came to our socket. fd is owned by it. */
void eci_conn_accepted(struct ectx_tunnel *t, int fd);
/* A connection that came to the exit's. */
void eci_conn_remote(struct ectx_tunnel *t, uint64_t number);
void eci_conn_free(struct eci_conn *c, const char *why);
void eci_tunnel_say(struct ectx_tunnel *t, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void eci_tunnel_listen(struct ectx_tunnel *t, bool on);
void eci_tunnel_free(struct ectx_tunnel *t);

#endif
