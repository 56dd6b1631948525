// prefix.h - one prefix for every name that a linker sees: engines link libwane.a beside code of their own. What a family
// or a backend shares between its files has a short name in the text, and wane_ before it in the objects. A name that is
// missing here is found by the test install.symbols.
#ifndef WANE_CORE_PREFIX_H
#define WANE_CORE_PREFIX_H

// ---- loss/softmax.h ----
#define softmax_add             wane_softmax_add
#define softmax_add_batches     wane_softmax_add_batches
#define softmax_add_emit        wane_softmax_add_emit
#define softmax_add_finish      wane_softmax_add_finish
#define softmax_add_gather      wane_softmax_add_gather
#define softmax_add_pair        wane_softmax_add_pair
#define softmax_add_planes      wane_softmax_add_planes
#define softmax_add_reduce      wane_softmax_add_reduce
#define softmax_batch_at        wane_softmax_batch_at
#define softmax_cols_of         wane_softmax_cols_of
#define softmax_cut             wane_softmax_cut
#define softmax_emit_rows       wane_softmax_emit_rows
#define softmax_emit_scalars    wane_softmax_emit_scalars
#define softmax_fill_pair       wane_softmax_fill_pair
#define softmax_fill_record     wane_softmax_fill_record
#define softmax_has_rows        wane_softmax_has_rows
#define softmax_most_rows       wane_softmax_most_rows
#define softmax_plane_count     wane_softmax_plane_count
#define softmax_put_strides     wane_softmax_put_strides
#define softmax_reach           wane_softmax_reach
#define softmax_read_grad       wane_softmax_read_grad
#define softmax_read_pair       wane_softmax_read_pair
#define softmax_read_problem    wane_softmax_read_problem
#define softmax_read_rows       wane_softmax_read_rows
#define softmax_rows_of         wane_softmax_rows_of
#define softmax_slot_of         wane_softmax_slot_of
#define softmax_statistics_need wane_softmax_statistics_need
#define softmax_view_of         wane_softmax_view_of
#define softmax_wants           wane_softmax_wants
#define softmax_whole_work      wane_softmax_whole_work

// ---- loss/tile_linear.h ----
#define linear_add_backward wane_linear_add_backward
#define linear_add_merge    wane_linear_add_merge
#define linear_add_sweeps   wane_linear_add_sweeps
#define linear_chunk_bytes  wane_linear_chunk_bytes
#define linear_cut          wane_linear_cut
#define linear_cut_side     wane_linear_cut_side
#define linear_has_side     wane_linear_has_side
#define linear_line         wane_linear_line
#define linear_one_batch    wane_linear_one_batch
#define linear_sweep_window wane_linear_sweep_window
#define linear_window_fits  wane_linear_window_fits

// ---- loss/tile.h ----
#define tile_add_gather  wane_tile_add_gather
#define tile_add_product wane_tile_add_product
#define tile_add_scatter wane_tile_add_scatter
#define tile_add_store   wane_tile_add_store
#define tile_add_sums    wane_tile_add_sums
#define tile_by_depth    wane_tile_by_depth
#define tile_dense       wane_tile_dense
#define tile_fits        wane_tile_fits
#define tile_half        wane_tile_half
#define tile_long        wane_tile_long
#define tile_none        wane_tile_none
#define tile_of          wane_tile_of
#define tile_part        wane_tile_part
#define tile_record      wane_tile_record
#define tile_slot        wane_tile_slot
#define tile_turned      wane_tile_turned
#define tile_type        wane_tile_type
#define tile_typed       wane_tile_typed

// ---- loss/contrastive.h ----
#define contrast_cut          wane_contrast_cut
#define contrast_fill_records wane_contrast_fill_records
#define contrast_read         wane_contrast_read

// ---- loss/ranking.h ----
#define rank_add             wane_rank_add
#define rank_add_emit        wane_rank_add_emit
#define rank_add_map         wane_rank_add_map
#define rank_add_outputs     wane_rank_add_outputs
#define rank_add_scan        wane_rank_add_scan
#define rank_add_sort        wane_rank_add_sort
#define rank_add_sum         wane_rank_add_sum
#define rank_add_values      wane_rank_add_values
#define rank_check_workspace wane_rank_check_workspace
#define rank_count_costs     wane_rank_count_costs
#define rank_place           wane_rank_place
#define rank_place_sums      wane_rank_place_sums
#define rank_plan_given      wane_rank_plan_given
#define rank_read_problem    wane_rank_read_problem
#define rank_slot            wane_rank_slot
#define rank_wants           wane_rank_wants
#define rank_work            wane_rank_work

// ---- backend/vulkan/vulkan.h ----
#define vulkan_barrier            wane_vulkan_barrier
#define vulkan_buffer_create      wane_vulkan_buffer_create
#define vulkan_buffer_destroy     wane_vulkan_buffer_destroy
#define vulkan_buffer_import_host wane_vulkan_buffer_import_host
#define vulkan_buffer_read        wane_vulkan_buffer_read
#define vulkan_buffer_write       wane_vulkan_buffer_write
#define vulkan_cache_open         wane_vulkan_cache_open
#define vulkan_check              wane_vulkan_check
#define vulkan_commands_begin     wane_vulkan_commands_begin
#define vulkan_commands_create    wane_vulkan_commands_create
#define vulkan_commands_destroy   wane_vulkan_commands_destroy
#define vulkan_commands_finish    wane_vulkan_commands_finish
#define vulkan_describe           wane_vulkan_describe
#define vulkan_device_close       wane_vulkan_device_close
#define vulkan_device_open        wane_vulkan_device_open
#define vulkan_discover           wane_vulkan_discover
#define vulkan_fail               wane_vulkan_fail
#define vulkan_has_extension      wane_vulkan_has_extension
#define vulkan_load_instance      wane_vulkan_load_instance
#define vulkan_load_library       wane_vulkan_load_library
#define vulkan_memory_create      wane_vulkan_memory_create
#define vulkan_memory_destroy     wane_vulkan_memory_destroy
#define vulkan_modules            wane_vulkan_modules
#define vulkan_modules_hash       wane_vulkan_modules_hash
#define vulkan_program_create     wane_vulkan_program_create
#define vulkan_program_destroy    wane_vulkan_program_destroy
#define vulkan_quirks             wane_vulkan_quirks
#define vulkan_record             wane_vulkan_record
#define vulkan_recorder_create    wane_vulkan_recorder_create
#define vulkan_recorder_destroy   wane_vulkan_recorder_destroy
#define vulkan_recorder_reset     wane_vulkan_recorder_reset
#define vulkan_run                wane_vulkan_run
#define vulkan_shutdown           wane_vulkan_shutdown

// ---- backend/opencl/opencl.h ----
#define opencl_buffer_create    wane_opencl_buffer_create
#define opencl_buffer_destroy   wane_opencl_buffer_destroy
#define opencl_buffer_read      wane_opencl_buffer_read
#define opencl_buffer_write     wane_opencl_buffer_write
#define opencl_check            wane_opencl_check
#define opencl_device_describe  wane_opencl_device_describe
#define opencl_device_end       wane_opencl_device_end
#define opencl_device_new       wane_opencl_device_new
#define opencl_device_open      wane_opencl_device_open
#define opencl_device_release   wane_opencl_device_release
#define opencl_enqueue          wane_opencl_enqueue
#define opencl_error_name       wane_opencl_error_name
#define opencl_load             wane_opencl_load
#define opencl_program_create   wane_opencl_program_create
#define opencl_program_destroy  wane_opencl_program_destroy
#define opencl_quirks           wane_opencl_quirks
#define opencl_recorder_create  wane_opencl_recorder_create
#define opencl_recorder_destroy wane_opencl_recorder_destroy
#define opencl_recorder_reset   wane_opencl_recorder_reset
#define opencl_run              wane_opencl_run
#define opencl_shutdown         wane_opencl_shutdown

#endif
