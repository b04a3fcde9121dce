/* Node identifier: DT_N_S_soc_S_adc_40012000 */
#define DT_N_S_soc_S_adc_40012000_PATH "/soc/adc@40012000"
#define DT_N_S_soc_S_adc_40012000_ORD 42
#define DT_N_S_soc_S_adc_40012000_ORD_STR_SORTABLE 00042
