#include "service/posix/text.h"

bool text_has_control(const char *word)
{
    for (; *word != 0; word++) {
        if ((unsigned char)*word < 0x20 || *word == 0x7f)
            return true;
    }
    return false;
}
