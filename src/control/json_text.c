#include "control/json_text.h"

#include <stdlib.h>

#include "base/utf8.h"

json_t *json_of_text(const char *text)
{
    if (text == NULL)
        return json_null();
    json_t *json = json_string(text);
    if (json != NULL)
        return json;
    char *repaired = utf8_repaired(text);
    json = repaired != NULL ? json_string(repaired) : NULL;
    free(repaired);
    return json;
}
