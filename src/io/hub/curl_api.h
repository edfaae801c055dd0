// libcurl, loaded when `pull` first needs it: linking it would cost every start of the program 15 ms, for the
// thirty libraries it brings along, and only `pull` ever opens a socket through it.
#pragma once

#include <curl/curl.h>

#include "base/result.h"

namespace atelier {

// The functions of libcurl.so.4 that we call, under their names without the prefix. Setting options and
// asking for facts are variadic there, hence the pointers' types.
struct CurlApi {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_cleanup) easy_cleanup;
  CURLcode (*easy_setopt)(CURL*, CURLoption, ...);
  CURLcode (*easy_getinfo)(CURL*, CURLINFO, ...);
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
  decltype(&curl_multi_init) multi_init;
  decltype(&curl_multi_cleanup) multi_cleanup;
  decltype(&curl_multi_add_handle) multi_add_handle;
  decltype(&curl_multi_remove_handle) multi_remove_handle;
  decltype(&curl_multi_perform) multi_perform;
  decltype(&curl_multi_poll) multi_poll;
  decltype(&curl_multi_info_read) multi_info_read;
  decltype(&curl_url) url;
  decltype(&curl_url_cleanup) url_cleanup;
  decltype(&curl_url_set) url_set;
  decltype(&curl_url_get) url_get;
  decltype(&curl_free) free;
};

// Loaded once for the life of the process. Errors: kNotFound, naming the package, where there is no libcurl.
Result<const CurlApi*> curl_api();

}  // namespace atelier
