/* Tells a service that its parameters have changed, as `sc control NAME paramchange` does on Windows. */
#include <stdio.h>
#include <windows.h>

int main(int argc, char **argv)
{
    SERVICE_STATUS status;
    SC_HANDLE manager = argc == 2 ? OpenSCManagerA(NULL, NULL, SC_MANAGER_CONNECT) : NULL;
    SC_HANDLE service = manager != NULL ? OpenServiceA(manager, argv[1], SERVICE_PAUSE_CONTINUE) : NULL;
    if (service == NULL || !ControlService(service, SERVICE_CONTROL_PARAMCHANGE, &status)) {
        (void)fprintf(stderr, "error %lu\n", GetLastError());
        return 1;
    }
    return 0;
}
