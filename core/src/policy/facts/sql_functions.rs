//! Functions of SQL that are known: those that only compute, and those that reach beyond the rows.
//!
//! Invariant: a function in neither list is not known to be harmless; a schema in front of a name makes another name.

/// Functions that compute from their arguments, the rows or the clock, in small letters.
const HARMLESS: &str = "
abs acos age any_value ascii asin atan atan2 avg bit_and bit_length bit_or bool_and bool_or btrim cardinality cast ceil ceiling
char char_length character_length charindex chr coalesce concat concat_ws convert corr cos cot count count_big covar_pop covar_samp
cume_dist curdate current_date current_time current_timestamp curtime date date_add date_bin date_diff date_format date_part date_sub
date_trunc dateadd datediff datename datepart datetime day dayname dayofmonth dayofweek dayofyear degrees dense_rank div eomonth every exp
extract factorial field find_in_set first_value floor format from_unixtime gcd getdate glob greatest group_concat grouping hex hour
if ifnull iif initcap instr isdate isnull isnumeric json_agg json_array json_array_elements json_array_elements_text json_array_length
json_build_array json_build_object json_contains json_each json_each_text json_extract json_extract_path json_extract_path_text
json_object json_object_agg json_object_keys json_query json_quote json_type json_unquote json_valid json_value jsonb_agg jsonb_array_elements
jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path
jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_pretty jsonb_typeof julianday
justify_days justify_hours justify_interval lag last_day last_value lcase lcm lead least left len length ln localtime localtimestamp
locate log log10 log2 lower lpad ltrim make_date make_interval make_time make_timestamp makedate max md5 mid min minute mod mode month
monthname nchar now nth_value ntile nullif nvl octet_length overlay parsename patindex percent_rank percentile_cont percentile_disc pi
position pow power quarter quotename quote_ident quote_literal quote_nullable radians rank regexp_count regexp_instr regexp_like
regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right round rollup cube
row_number row_to_json rpad rtrim second sha1 sha2 sign sin soundex split_part sqrt starts_with statement_timestamp stddev stddev_pop
stddev_samp str str_to_date strftime string_agg string_split string_to_array strpos stuff substr substring substring_index sum sysdatetime
tan time timediff timestamp timestampadd timestampdiff to_char to_date to_days to_hex to_json to_jsonb to_number to_timestamp total
transaction_timestamp translate trim trunc truncate try_cast try_convert typeof ucase unhex unicode unistr unixepoch unix_timestamp unnest
upper utc_date utc_time utc_timestamp var_pop var_samp variance week weekday width_bucket year yearweek array_agg array_append array_cat
array_length array_lower array_position array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper
ts_headline ts_rank to_tsquery to_tsvector plainto_tsquery websearch_to_tsquery phraseto_tsquery generate_subscripts
generate_series version current_database current_schema current_user session_user user database schema pg_typeof pg_size_pretty pg_table_size
pg_relation_size pg_total_relation_size
";

/// Functions that reach files, other servers, other sessions or the server itself, run text as SQL, or only burn time. They are here so that
/// they are told apart from functions of which nothing is known; a name that is missing is not harmless for it.
const DANGEROUS: &str = "
benchmark bulk copy_file crosstab dblink dblink_connect dblink_exec dblink_open dblink_send_query edit exec fts3_tokenizer get_lock
load_extension load_file lo_create lo_export lo_from_bytea lo_get lo_import lo_open lo_put lo_unlink lo_write loread lowrite master_pos_wait
nextval openquery opendatasource openrowset pg_advisory_lock pg_cancel_backend pg_create_restore_point pg_current_logfile pg_execute_server_program
pg_file_rename pg_file_sync pg_file_unlink pg_file_write pg_logdir_ls pg_logical_emit_message pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir
pg_ls_tmpdir pg_ls_waldir pg_notify pg_promote pg_read_binary_file pg_read_file pg_read_server_files pg_reload_conf pg_rotate_logfile pg_sleep
pg_sleep_for pg_sleep_until pg_stat_file pg_stat_reset pg_switch_wal pg_terminate_backend pg_write_server_files query_to_xml
query_to_xml_and_xmlschema query_to_xmlschema database_to_xml cursor_to_xml table_to_xml schema_to_xml readfile release_lock set_config setval
sleep sp_executesql sp_oacreate sys_eval sys_exec sys_get sys_set writefile xp_cmdshell xp_dirtree xp_fileexist xp_regread xp_regwrite
xp_subdirs ts_stat currval lastval randomblob zeroblob
";

/// Types that servers have of themselves and the parser knows by name only, in small letters. `reg…` but `regclass` are missing: they look into
/// the catalogue, as functions of no list do.
const TYPES: &str = "
box box2d cidr circle datetime2 datetimeoffset daterange hierarchyid image inet int4range int8range line lseg macaddr macaddr8 money name
nchar ntext number numrange oid path pg_lsn point polygon rowversion serial smalldatetime smallmoney sql_variant sysname timetz timestamptz
tsquery tsrange tstzrange tsvector uniqueidentifier varchar2 xid xml year
";

/// Whether a type is known to be a server's own.
pub(super) fn is_type(name: &str) -> bool {
    is_in(TYPES, name.strip_prefix("pg_catalog.").unwrap_or(name))
}

/// Whether a function only computes. `pg_catalog` is the schema in which PostgreSQL keeps its own.
pub(super) fn is_harmless(name: &str) -> bool {
    is_in(HARMLESS, name.strip_prefix("pg_catalog.").unwrap_or(name))
}

/// Whether a function is known to reach beyond the rows, whatever schema it is said to be of.
pub(super) fn is_dangerous(name: &str) -> bool {
    let bare = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    is_in(DANGEROUS, &bare)
        || bare.starts_with("xp_")
        || bare.starts_with("sp_")
        || bare.starts_with("dblink")
        || bare.starts_with("pg_")
}

fn is_in(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == name)
}
