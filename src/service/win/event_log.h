/* What matters goes to the Windows Event Log (Application), beside the log's file. Room-internal. */
#ifndef HOLDFAST_SERVICE_WIN_EVENT_LOG_H
#define HOLDFAST_SERVICE_WIN_EVENT_LOG_H

#include <windows.h>

/* From now on lines of level warning and above go there, under the source `service`. Does nothing where Windows refuses
 * the source. */
void event_log_open(const wchar_t *service);
void event_log_close(void);

/* The event source of a service: a key of the registry that names the file with our messages. Windows' error code, 0
 * when it worked. `program` is the executable, which holds the messages. */
DWORD event_source_add(const wchar_t *service, const wchar_t *program);
DWORD event_source_remove(const wchar_t *service);

#endif
