/* Text of any origin as JSON. Pure. */
#ifndef HOLDFAST_CONTROL_JSON_TEXT_H
#define HOLDFAST_CONTROL_JSON_TEXT_H

#include <jansson.h>

/* A JSON string: bytes that are not UTF-8 become U+FFFD. NULL gives null. A new reference; NULL when out of memory. */
json_t *json_of_text(const char *text);

#endif
