/* status.c - names of statuses, and what this library is. */
#include "wavernn.h"

static const struct {
    const char *name, *text;
} STATUS[] = {
    [WV_OK] = {"ok", "no error"},
    [WV_ERR_ARGUMENT] = {"argument", "null pointer or argument out of range"},
    [WV_ERR_MEMORY] = {"memory", "out of memory"},
    [WV_ERR_ALIGNMENT] = {"alignment", "model bytes do not start on a 64-byte boundary"},
    [WV_ERR_TRUNCATED] = {"truncated", "model file is truncated"},
    [WV_ERR_MAGIC] = {"magic", "not a WaveRNN .bin file"},
    [WV_ERR_VERSION] = {"version", "format version this library does not read"},
    [WV_ERR_CHECKSUM] = {"checksum", "checksum does not match: the file is damaged"},
    [WV_ERR_HEADER] = {"header", "header field out of its legal range"},
    [WV_ERR_SECTION] = {"section", "section out of place, or of the wrong dtype or shape"},
    [WV_ERR_ROW_PTR] = {"row_ptr", "row_ptr does not rise from 0 to nnz_blocks"},
    [WV_ERR_COL_IDX] = {"col_idx", "column index out of range or not ascending within its row"},
    [WV_ERR_VALUES] = {"values", "weight out of range, NaN or infinite"},
    [WV_ERR_MEL] = {"mel", "mel value is NaN or infinite"},
    [WV_ERR_FINISHED] = {"finished", "frames pushed after wv_finish"},
    [WV_ERR_ISA] = {"isa", "ISA unknown, or missing in this build or CPU"},
    [WV_ERR_SUBSCALE] = {"subscale", "a Subscale voice, which this build leaves out: wv-run speaks it"},
};

static int known(wv_status status)
{
    return (unsigned)status < sizeof STATUS / sizeof STATUS[0];
}

const char *wv_status_str(wv_status status)
{
    return known(status) ? STATUS[status].text : "unknown status";
}

const char *wv_status_name(wv_status status)
{
    return known(status) ? STATUS[status].name : "unknown";
}

const char *wv_version(void)
{
    return WV_VERSION;
}

int32_t wv_abi_version(void)
{
    return WV_ABI_VERSION;
}
