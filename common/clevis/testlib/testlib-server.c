/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A server that may misbehave; see testlib-server.h.  Each connection has a
 * thread of its own, which carries out one request and ends when the server
 * is stopped, whatever it is doing.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bounds.h"
#include "policy/policy.h"
#include "testlib/testlib-jwe.h"
#include "exchange/exchange.h"
#include "exchange/preflight.h"
#include "exchange/question.h"
#include "tang/servers.h"
#include "testlib/testlib-server.h"

#define MAX_CONNECTIONS 1000
#define MAX_REQUEST 8192

struct server {
  int listen_fd, stop_fd[2];    /* stop_fd[0] is readable when it ends */
  int port;
  char url[64];
  json_t *key;
  pthread_t thread;
  pthread_t connections[MAX_CONNECTIONS];
  size_t nr_connections;

  pthread_mutex_t lock;         /* of what follows */
  pthread_cond_t cond;          /* open changed, or stopping */
  enum fault fault, then;
  int nr_before_then;           /* -1: never */
  int connected, requests, open, most_open, gather;
  bool stopping, keep_alive;
  char *path, *adv;
  json_t *asked;                /* what FAULT_BUSY_FIRST has refused once */
};

struct connection {
  struct server *server;
  int fd;
  char request[MAX_REQUEST+1];
  size_t len;
  const char *body;             /* within request */
};

/* Wait until something can be done with fd; false if the server stops. */
static bool
wait_for (struct connection *c, short events, int ms)
{
  struct pollfd fds[2] = {
    { .fd = c->fd, .events = events },
    { .fd = c->server->stop_fd[0], .events = POLLIN },
  };

  if (events == 0)              /* only time */
    fds[0].fd = -1;
  poll (fds, 2, ms);
  return fds[1].revents == 0;
}

static bool
send_bytes (struct connection *c, const char *data, size_t len)
{
  ssize_t r;

  while (len > 0) {
    if (!wait_for (c, POLLOUT, -1))
      return false;
    r = send (c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (r == -1 && errno != EAGAIN)
      return false;
    if (r > 0) {
      data += r;
      len -= r;
    }
  }
  return true;
}

static bool
send_text (struct connection *c, const char *text)
{
  return send_bytes (c, text, strlen (text));
}

/* Send a text over and over until nobody reads it any more. */
static void
flood (struct connection *c, const char *text)
{
  while (send_text (c, text))
    ;
}

static char *
response (const char *status, const char *type, const char *body)
{
  char *text;

  if (asprintf (&text, "HTTP/1.1 %s\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
                status, type ? "Content-Type: " : "", type ? type : "",
                type ? "\r\n" : "", strlen (body), body) == -1)
    abort ();
  return text;
}

static void
send_response (struct connection *c, const char *status, const char *type,
               const char *body)
{
  CLEANUP_FREE char *text = response (status, type, body);

  send_text (c, text);
}

/* Y for the X of the request, with a key, as text.  The server's own copy of
 * the key is not shared with other threads.
 */
static json_t *
answer (struct connection *c, const json_t *key)
{
  CLEANUP_JSON json_t *x = json_loads (c->body, 0, NULL);
  CLEANUP_JSON json_t *copy = json_deep_copy (key);
  json_t *y = tang_answer (copy, x);

  if (y)
    json_object_set_new (y, "alg", json_string ("ECMR"));
  return y ? y : json_object ();
}

static const char jwk_type[] = "application/jwk+json";

static void
send_json (struct connection *c, const json_t *json)
{
  CLEANUP_FREE char *text = json_dumps (json, JSON_COMPACT);

  send_response (c, "200 OK", jwk_type, text);
}

/* Coordinates of so many base64 digits that are zero. */
static void
set_coordinates (json_t *point, size_t len)
{
  CLEANUP_FREE char *zeroes = malloc (len + 1);

  memset (zeroes, 'A', len);
  zeroes[len] = '\0';
  json_object_set_new (point, "x", json_string (zeroes));
  json_object_set_new (point, "y", json_string (zeroes));
}

/* Faults whose reply is some JSON. */
static bool
misanswer (struct connection *c, enum fault fault)
{
  const json_t *key = c->server->key;
  CLEANUP_JSON json_t *y = NULL, *other = NULL;

  switch (fault) {
  case FAULT_NONE:
    y = answer (c, key);
    break;
  case FAULT_ARRAY:
    y = json_array ();
    break;
  case FAULT_CURVE:
    y = tang_key (strcmp (json_string_value (json_object_get (key, "crv")),
                          "P-256") == 0 ? "P-384" : "P-256");
    json_object_del (y, "d");
    break;
  case FAULT_OFF_CURVE:
    y = answer (c, key);
    other = json_loads (c->body, 0, NULL);
    json_object_set (y, "y", json_object_get (other, "y"));
    break;
  case FAULT_ZERO:
    y = answer (c, key);
    set_coordinates (y, strlen (json_string_value (json_object_get (y, "x"))));
    break;
  case FAULT_INFINITY:
    y = answer (c, key);
    set_coordinates (y, 0);
    break;
  case FAULT_OWN_D:
    y = answer (c, key);
    other = json_deep_copy (key);
    json_object_set (y, "d", json_object_get (other, "d"));
    break;
  case FAULT_OTHER_KEY:
    other = tang_key (json_string_value (json_object_get (key, "crv")));
    y = answer (c, other);
    break;
  case FAULT_ECHO:
    y = json_loads (c->body, 0, NULL);
    break;
  default:
    return false;
  }
  send_json (c, y);
  return true;
}

/* The type that a fault gives to the right reply. */
static const char *
type_of (enum fault fault)
{
  switch (fault) {
  case FAULT_NO_TYPE: return NULL;
  case FAULT_TYPE_SUFFIX: return "application/jwk+jsonp";
  case FAULT_TYPE_PARAMETER: return "Application/JWK+json; charset=utf-8";
  default: return jwk_type;
  }
}

/* The reply with a length that is not its own; what is as long as is said
 * comes and then nothing more.
 */
static void
send_with_length (struct connection *c, const char *body, const char *length)
{
  CLEANUP_FREE char *text = NULL;

  if (asprintf (&text, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
                "Content-Length: %s\r\n\r\n%s", jwk_type, length, body) == -1)
    abort ();
  send_text (c, text);
  wait_for (c, POLLRDHUP, -1);
}

/* One byte at a time, ten in a second. */
static void
send_slowly (struct connection *c, const char *text)
{
  size_t i;

  for (i = 0; text[i] && wait_for (c, 0, 100); ++i)
    if (!send_bytes (c, &text[i], 1))
      break;
}

/* Was this question refused before?  It is from now on. */
static bool
was_asked (struct connection *c)
{
  struct server *s = c->server;
  bool before;

  pthread_mutex_lock (&s->lock);
  before = json_object_get (s->asked, c->body) != NULL;
  json_object_set_new (s->asked, c->body, json_true ());
  pthread_mutex_unlock (&s->lock);
  return before;
}

/* Is it the sending of the right reply that the fault changes? */
static bool
is_of_sending (enum fault fault)
{
  switch (fault) {
  case FAULT_CLOSE_STATUS:
  case FAULT_CLOSE_HEADERS:
  case FAULT_PARTIAL:
  case FAULT_SLOW:
  case FAULT_NO_TYPE:
  case FAULT_TYPE_SUFFIX:
  case FAULT_TYPE_PARAMETER:
  case FAULT_LENGTH_LONG:
  case FAULT_LENGTH_SHORT:
  case FAULT_LENGTH_BAD:
  case FAULT_BUSY_FIRST:
    return true;
  default:
    return false;
  }
}

static void
missend (struct connection *c, enum fault fault)
{
  CLEANUP_JSON json_t *y = answer (c, c->server->key);
  CLEANUP_FREE char *body = json_dumps (y, JSON_COMPACT);
  CLEANUP_FREE char *text = response ("200 OK", type_of (fault), body);
  char length[32];

  switch (fault) {
  case FAULT_CLOSE_STATUS:
    send_bytes (c, text, strlen ("HTTP/1.1"));
    break;
  case FAULT_CLOSE_HEADERS:
    send_bytes (c, text, strlen ("HTTP/1.1 200 OK\r\nContent-Ty"));
    break;
  case FAULT_PARTIAL:
    send_bytes (c, text, strlen (text) - strlen (body) / 2);
    break;
  case FAULT_SLOW:
    send_slowly (c, text);
    break;
  case FAULT_LENGTH_LONG:
    snprintf (length, sizeof length, "%zu", strlen (body) + 1000);
    send_with_length (c, body, length);
    break;
  case FAULT_LENGTH_SHORT:
    snprintf (length, sizeof length, "%zu", strlen (body) / 2);
    send_with_length (c, body, length);
    break;
  case FAULT_LENGTH_BAD:
    send_with_length (c, body, "-1");
    break;
  case FAULT_BUSY_FIRST:
    if (was_asked (c))
      send_text (c, text);
    else
      send_text (c, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n"
                 "Content-Length: 0\r\n\r\n");
    break;
  default:                      /* its type is the fault */
    send_text (c, text);
  }
}

/* Faults that never come to an end, or late. */
static bool
misbehave_forever (struct connection *c, enum fault fault)
{
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: "
    "application/jwk+json\r\n";
  char spaces[4097];
  size_t i;

  memset (spaces, ' ', sizeof spaces - 1);
  spaces[sizeof spaces - 1] = '\0';
  switch (fault) {
  case FAULT_BLACK_HOLE:
    wait_for (c, POLLRDHUP, -1);
    break;
  case FAULT_HUGE:
    send_text (c, head);
    send_text (c, "Content-Length: 1099511627776\r\n\r\n{");
    flood (c, spaces);
    break;
  case FAULT_ENDLESS_BODY:
    send_text (c, head);
    send_text (c, "Transfer-Encoding: chunked\r\n\r\n");
    flood (c, "10\r\n                \r\n");
    break;
  case FAULT_ONE_MORE:
    send_text (c, head);
    send_text (c, "Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n");
    for (i = 0; i < BOUND_REPLY_BODY / 16; ++i)
      send_text (c, "10\r\n                \r\n");
    send_text (c, "0\r\n\r\n");
    break;
  case FAULT_ENDLESS_HEADERS:
    send_text (c, head);
    flood (c, "X-More: and more\r\n");
    break;
  case FAULT_LONG_HEADER:
    send_text (c, head);
    send_text (c, "X-Long: ");
    flood (c, spaces);
    break;
  case FAULT_1XX_FLOOD:
    flood (c, "HTTP/1.1 102 Processing\r\n\r\n");
    break;
  default:
    return false;
  }
  return true;
}

static void
redirect (struct connection *c, const char *path)
{
  CLEANUP_FREE char *text = NULL;

  if (asprintf (&text, "HTTP/1.1 302 Found\r\nLocation: %s%s\r\n"
                "Content-Length: 0\r\n\r\n", c->server->url, path) == -1)
    abort ();
  send_text (c, text);
}

static void
misbehave (struct connection *c, enum fault fault)
{
  const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
  CLEANUP_FREE char *path = NULL;

  switch (fault) {
  case FAULT_RESET:
    setsockopt (c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    break;
  case FAULT_NO_KEY:
    send_response (c, "404 Not Found", NULL, "");
    break;
  case FAULT_ERROR:
    send_response (c, "500 Internal Server Error", "text/plain", "oops");
    break;
  case FAULT_BUSY:
    send_text (c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
               "Content-Length: 0\r\n\r\n");
    break;
  case FAULT_BUSY_LONG:
    send_text (c, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\n"
               "Content-Length: 0\r\n\r\n");
    break;
  case FAULT_REDIRECT:
    redirect (c, "/other");
    break;
  case FAULT_REDIRECT_LOOP:
    path = server_path (c->server);
    redirect (c, path);
    break;
  case FAULT_EMPTY:
    send_response (c, "200 OK", jwk_type, "");
    break;
  case FAULT_HTML:
    send_response (c, "200 OK", "text/html", "<html>Log in here</html>");
    break;
  case FAULT_NOT_HTTP:
    send_text (c, "SSH-2.0-OpenSSH_9.2p1\r\n");
    break;
  case FAULT_NOT_TEXT:
    send_text (c, "\025\003\001\002\002\012");
    break;
  case FAULT_NOT_JSON:
    send_response (c, "200 OK", jwk_type, "{\"kty\":\"EC\",");
    break;
  case FAULT_GZIP:
    send_response (c, "200 OK", "application/jwk+json\r\n"
                   "Content-Encoding: gzip", "\037\213\010");
    break;
  default:                      /* FAULT_CLOSE */
    break;
  }
}

/* Read one request.  False if the client or the server ends before. */
static bool
read_request (struct connection *c)
{
  const char *length;
  char *end;
  ssize_t r;

  for (;;) {
    c->request[c->len] = '\0';
    end = strstr (c->request, "\r\n\r\n");
    if (end) {
      length = strcasestr (c->request, "\r\nContent-Length:");
      c->body = end + 4;
      if (length == NULL || c->body + atol (length + 17) <=
          c->request + c->len)
        return true;
    }
    if (c->len == MAX_REQUEST || !wait_for (c, POLLIN, -1))
      return false;
    r = recv (c->fd, c->request + c->len, MAX_REQUEST - c->len, 0);
    if (r <= 0)
      return false;
    c->len += r;
  }
}

/* Count a request that has come; returns what is to be done with it. */
static enum fault
begin_request (struct connection *c)
{
  struct server *s = c->server;
  enum fault fault;
  size_t len;
  char *path;

  pthread_mutex_lock (&s->lock);
  s->requests++;
  if (++s->open > s->most_open)
    s->most_open = s->open;
  path = strchr (c->request, ' ');
  if (path) {
    len = strcspn (path + 1, " ");
    free (s->path);
    s->path = strndup (path + 1, len);
  }
  fault = s->fault;
  if (s->nr_before_then > 0 && --s->nr_before_then == 0)
    s->fault = s->then;
  pthread_cond_broadcast (&s->cond);
  while (s->open < s->gather && !s->stopping)
    pthread_cond_wait (&s->cond, &s->lock);
  if (s->open >= s->gather)
    s->gather = 0;
  pthread_mutex_unlock (&s->lock);
  return fault;
}

static void
end_request (struct server *s)
{
  pthread_mutex_lock (&s->lock);
  s->open--;
  pthread_mutex_unlock (&s->lock);
}

/* Is it the advertisement that is asked for?  Then send it. */
static bool
advertise (struct connection *c, enum fault fault)
{
  static const char get[] = "GET ";
  CLEANUP_FREE char *adv = NULL;
  struct server *s = c->server;

  if (fault != FAULT_NONE || strncmp (c->request, get, sizeof get - 1) != 0)
    return false;
  pthread_mutex_lock (&s->lock);
  adv = s->adv ? strdup (s->adv) : NULL;
  pthread_mutex_unlock (&s->lock);
  if (adv)
    send_response (c, "200 OK", "application/jose+json", adv);
  else
    send_response (c, "404 Not Found", NULL, "");
  return true;
}

static void *
serve_connection (void *opaque)
{
  struct connection *c = opaque;
  enum fault fault;

  do {
    c->len = 0;
    if (!read_request (c))
      break;
    fault = begin_request (c);
    if (is_of_sending (fault))
      missend (c, fault);
    else if (!advertise (c, fault) && !misanswer (c, fault) &&
             !misbehave_forever (c, fault))
      misbehave (c, fault);
    end_request (c->server);
  } while (c->server->keep_alive);
  close (c->fd);
  free (c);
  return NULL;
}

/* In the order in which they are accepted: whoever has a reply knows how many
 * were made before.
 */
static void
count_connection (struct server *s)
{
  pthread_mutex_lock (&s->lock);
  s->connected++;
  pthread_mutex_unlock (&s->lock);
}

static void *
serve (void *opaque)
{
  struct server *s = opaque;
  struct pollfd fds[2] = {
    { .fd = s->listen_fd, .events = POLLIN },
    { .fd = s->stop_fd[0], .events = POLLIN },
  };
  struct connection *c;

  while (poll (fds, 2, -1) > 0 && fds[1].revents == 0) {
    if (s->nr_connections == MAX_CONNECTIONS)
      break;
    c = calloc (1, sizeof *c);
    c->server = s;
    c->fd = accept4 (s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (c->fd != -1)
      count_connection (s);
    if (c->fd == -1 ||
        pthread_create (&s->connections[s->nr_connections], NULL,
                        serve_connection, c) != 0) {
      free (c);
      continue;
    }
    s->nr_connections++;
  }
  return NULL;
}

/* A socket bound to a free port of 127.0.0.1. */
static int
bind_socket (int *port)
{
  struct sockaddr_in addr = { .sin_family = AF_INET };
  socklen_t len = sizeof addr;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  addr.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  assert_int_not_equal (fd, -1);
  assert_int_equal (bind (fd, (struct sockaddr *) &addr, sizeof addr), 0);
  assert_int_equal (getsockname (fd, (struct sockaddr *) &addr, &len), 0);
  *port = ntohs (addr.sin_port);
  return fd;
}

struct server *
server_start (const json_t *key, enum fault fault)
{
  struct server *s = calloc (1, sizeof *s);

  s->key = json_deep_copy (key);
  s->asked = json_object ();
  s->fault = fault;
  s->listen_fd = bind_socket (&s->port);
  assert_int_equal (listen (s->listen_fd, 512), 0);
  assert_int_equal (pipe (s->stop_fd), 0);
  snprintf (s->url, sizeof s->url, "http://127.0.0.1:%d", s->port);
  pthread_mutex_init (&s->lock, NULL);
  pthread_cond_init (&s->cond, NULL);
  assert_int_equal (pthread_create (&s->thread, NULL, serve, s), 0);
  return s;
}

void
server_stop (struct server *s)
{
  size_t i;

  if (s == NULL)
    return;
  pthread_mutex_lock (&s->lock);
  s->stopping = true;
  pthread_cond_broadcast (&s->cond);
  pthread_mutex_unlock (&s->lock);
  close (s->stop_fd[1]);        /* the other end is readable for ever */
  pthread_join (s->thread, NULL);
  for (i = 0; i < s->nr_connections; ++i)
    pthread_join (s->connections[i], NULL);
  close (s->listen_fd);
  close (s->stop_fd[0]);
  pthread_cond_destroy (&s->cond);
  pthread_mutex_destroy (&s->lock);
  json_decref (s->key);
  json_decref (s->asked);
  free (s->path);
  free (s->adv);
  free (s);
}

void
server_advertise (struct server *s, const json_t *adv)
{
  pthread_mutex_lock (&s->lock);
  free (s->adv);
  s->adv = json_dumps (adv, JSON_COMPACT);
  pthread_mutex_unlock (&s->lock);
}

void
server_set_fault (struct server *s, enum fault fault)
{
  pthread_mutex_lock (&s->lock);
  s->fault = fault;
  s->nr_before_then = -1;
  pthread_mutex_unlock (&s->lock);
}

void
server_fault_for (struct server *s, int n, enum fault fault, enum fault then)
{
  pthread_mutex_lock (&s->lock);
  s->fault = fault;
  s->then = then;
  s->nr_before_then = n;
  pthread_mutex_unlock (&s->lock);
}

const char *
server_url (const struct server *s)
{
  return s->url;
}

int
server_port (const struct server *s)
{
  return s->port;
}

int
server_connections (struct server *s)
{
  int n;

  pthread_mutex_lock (&s->lock);
  n = s->connected;
  pthread_mutex_unlock (&s->lock);
  return n;
}

int
server_requests (struct server *s)
{
  int n;

  pthread_mutex_lock (&s->lock);
  n = s->requests;
  pthread_mutex_unlock (&s->lock);
  return n;
}

int
server_most_open (struct server *s)
{
  int n;

  pthread_mutex_lock (&s->lock);
  n = s->most_open;
  pthread_mutex_unlock (&s->lock);
  return n;
}

char *
server_path (struct server *s)
{
  char *path;

  pthread_mutex_lock (&s->lock);
  path = s->path ? strdup (s->path) : NULL;
  pthread_mutex_unlock (&s->lock);
  return path;
}

void
server_keep_alive (struct server *s)
{
  s->keep_alive = true;
}

void
server_gather (struct server *s, int n)
{
  pthread_mutex_lock (&s->lock);
  s->gather = n;
  pthread_mutex_unlock (&s->lock);
}

/* A socket that is bound and does not listen keeps the port for itself. */
const char *
closed_port (int *fd)
{
  static char url[64];
  int port;

  *fd = bind_socket (&port);
  snprintf (url, sizeof url, "http://127.0.0.1:%d", port);
  return url;
}

struct policy *
loopback_policy (void)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct policy *policy = policy_new ();

  policy_settings (policy)->no_proxy = strdup ("*");
  policy_allow (policy, "127.0.0.1", &err);
  assert_no_error (&err);
  return policy;
}

struct exchange *
direct_exchange (const struct policy *policy, struct clevis_error *err)
{
  const struct exchange_settings settings = {
    .deadline = policy_get_settings (policy)->deadline,
  };

  return exchange_new (servers_new (policy, err), &settings, err);
}

struct questions *
direct_questions (const struct policy *policy, const struct answers *answers,
                  struct clevis_error *err)
{
  static const struct answers none = { .keydir = NULL };

  return questions_new (servers_new (policy, err), answers ? answers : &none,
                        err);
}

struct preflight *
direct_preflight (const struct policy *policy, const struct keydir *keydir,
                  bool probe, struct clevis_error *err)
{
  return preflight_new (servers_new (policy, err), keydir, probe, err);
}
