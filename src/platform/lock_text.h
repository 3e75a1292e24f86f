/* What is in a lock file: the number of the process that holds it, and whose it is. Pure. */
#ifndef HOLDFAST_PLATFORM_LOCK_TEXT_H
#define HOLDFAST_PLATFORM_LOCK_TEXT_H

#include <stddef.h>

#define LOCK_TEXT_CAP_BYTES 48 /* of such a file, with the zero byte behind its text: a larger one is none of ours */

enum lock_text {
    LOCK_TEXT_OURS,  /* it says so */
    LOCK_TEXT_BARE,  /* a number at most: left by an end of the power, or by a version that wrote no more */
    LOCK_TEXT_OTHERS /* nothing that holdfast writes */
};

/* Puts the text of process `pid` into `out`, and returns its length. */
size_t lock_text_make(unsigned long pid, char out[LOCK_TEXT_CAP_BYTES]);
/* The kind of the first `len` bytes of a file, behind which there is a zero byte. */
enum lock_text lock_text_look(const char *text, size_t len);
/* The process that wrote it, 0 when it does not say. */
unsigned long lock_text_holder(const char *text);

#endif
