declare const kind: unique symbol

/** `T`, known to have passed the check named `K`. Costs nothing at run time. */
export type Brand<T, K extends string> = T & { readonly [kind]: K }
