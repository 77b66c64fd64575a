/* Reads files from stdin, each as a u32 length and its bytes, and prints what wv_model_load says of each.
 * The bytes lie in an allocation of exactly their size, so the sanitizers see a read beyond them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wavernn.h"

int main(void)
{
    uint32_t n;
    while (fread(&n, sizeof n, 1, stdin) == 1) {
        void *data = NULL;
        wv_model *model = (wv_model *)&n; /* must become NULL on failure */
        wv_info info;
        if (posix_memalign(&data, 64, n) != 0 || fread(data, 1, n, stdin) != n)
            return 1;
        wv_status status = wv_model_load(data, n, &model);
        if ((status == WV_OK) != (model != NULL))
            return 2;
        if (status == WV_OK && wv_model_info(model, &info) != WV_OK)
            return 3;
        wv_model_free(model);
        free(data);
        puts(wv_status_name(status));
        fflush(stdout);
    }
    return 0;
}
