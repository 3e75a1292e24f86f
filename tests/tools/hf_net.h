/* Sockets and the parsing of arguments, for the tools. Every failure ends the program with a sentence. */
#ifndef HF_NET_H
#define HF_NET_H

#include <stdint.h>

/* Listens on HOST:PORT (port 0: any) and returns the socket; *port is the real port. Non-blocking. */
int hf_listen(const char *address, uint16_t *port);
/* Begins to connect to HOST:PORT (numeric). Non-blocking; the outcome shows at the first read or write. */
int hf_connect(const char *address);
void hf_nonblocking(int fd);

/* "64K", "2M", "1G" or plain bytes. */
uint64_t hf_size(const char *text);
uint64_t hf_number(const char *text);

uint64_t hf_now_ns(void);
void hf_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
